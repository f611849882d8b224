//! What a light client is shown: state proofs, and headers with certificates that lead to them.

use crate::{Decoder, vectors};
use ledger_consensus::Certificate;
use ledger_evidence::{About, Anchor, Begin, File, Subject};
use ledger_tree::{Outline, Piece, Proof, Tree, part_of};
use light_client::{Client, Evidence, Link};
use protocol::{
    RunId, SigningKey, Step,
    block::{Block, Header, validators_hash},
    codec::BoundedVec,
    genesis::Genesis,
};
use std::collections::BTreeMap;

/// A few entries; the seeds' proofs are about them.
fn entries() -> BTreeMap<Vec<u8>, Vec<u8>> {
    (0..40_u8).map(|n| (vec![n], vec![n; 9])).collect()
}

fn proofs() -> Vec<Proof> {
    let entries = entries();
    let tree = Tree::of(&entries);
    let asked: [&[u8]; 4] = [&[], &[3], &[200], &[0, 7, 30, 99]];
    let prove = |numbers: &&[u8]| {
        let keys: Vec<Vec<u8>> = numbers.iter().map(|n| vec![*n]).collect();
        tree.prove(&keys, |key| entries.get(key).cloned()).unwrap()
    };
    asked.iter().map(prove).collect()
}

/// Whatever verifies is true of the tree.
pub(crate) const STATE_PROOF: Decoder = Decoder {
    name: "state_proof",
    run: |bytes| {
        let Ok(proof) = Proof::decode(bytes) else {
            return;
        };
        assert_eq!(proof.encode(), bytes);
        let entries = entries();
        if let Ok(proven) = proof.verify(Tree::of(&entries).root()) {
            for number in 0..=255 {
                if let Ok(found) = proven.get(&[number]) {
                    let expected = entries.get(&vec![number]);
                    assert_eq!(found, expected.map(Vec::as_slice));
                }
            }
        }
    },
    seeds: || proofs().iter().map(Proof::encode).collect(),
};

/// Whatever is of the tree's outline has what the tree has.
pub(crate) const STATE_OUTLINE: Decoder = Decoder {
    name: "state_outline",
    run: |bytes| {
        let Ok(outline) = Outline::decode(bytes) else {
            return;
        };
        assert_eq!(outline.encode(), bytes);
        let tree = Tree::of(&entries());
        if outline.verify(tree.root()).is_ok() {
            assert_eq!(tree.outline(outline.depth()).unwrap(), outline);
        }
    },
    seeds: || {
        let tree = Tree::of(&entries());
        let outline = |depth| tree.outline(depth).unwrap().encode();
        [0, 1, 2, 5].map(outline).to_vec()
    },
};

/// Whatever the tree's outline accepts is the piece that the tree has.
pub(crate) const STATE_PIECE: Decoder = Decoder {
    name: "state_piece",
    run: |bytes| {
        let Ok(piece) = Piece::decode(bytes) else {
            return;
        };
        assert_eq!(piece.encode(), bytes);
        let (tree, pieces) = (Tree::of(&entries()), pieces());
        let outline = tree.outline(2).unwrap();
        for (index, honest) in pieces.iter().enumerate() {
            if outline.check(index, &piece).is_ok() {
                assert_eq!(&piece, honest);
            }
        }
    },
    seeds: || pieces().iter().map(Piece::encode).collect(),
};

/// The tree in four pieces.
fn pieces() -> Vec<Piece> {
    let mut parts = vec![Vec::new(); 4];
    for (key, value) in entries() {
        parts[part_of(&key, 2)].push((key, value));
    }
    let pieces = parts.into_iter().map(|part| Piece::new(part).unwrap());
    pieces.collect()
}

/// A header, and one two heights above it; one validator decides both.
fn headers() -> (Header, Header) {
    let validators = validators_hash(&[(key().address(), 5)]);
    let trusted = Block::decode(&vectors::bytes("block")[0]).unwrap().header;
    let trusted = Header {
        validators,
        next_validators: validators,
        round: 0,
        ..trusted
    };
    let later = Header {
        height: trusted.height.next().next(),
        state_root: Tree::of(&entries()).root(),
        ..trusted
    };
    (trusted, later)
}

fn key() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

/// From the trusted header, whatever verifies is about the later one, and true.
pub(crate) const DECODER: Decoder = Decoder {
    name: "evidence",
    run: |bytes| {
        let Ok(evidence) = Evidence::decode(bytes) else {
            return;
        };
        assert_eq!(evidence.encode(), bytes);
        let ((trusted, later), entries) = (headers(), entries());
        let next = BoundedVec::new(vec![(key().address(), 5)]).unwrap();
        let client = Client::of_header(&trusted, &next).unwrap();
        if let Ok(held) = evidence.verify(client) {
            assert_eq!(held.certified.header, later);
            for (key, value) in held.state.entries() {
                assert_eq!(entries.get(key).map(Vec::as_slice), Some(value));
            }
        }
    },
    seeds: || evidence().iter().map(Evidence::encode).collect(),
};

/// Nothing is proven from the vectors' genesis, whose keys nobody here has; from the trusted header
/// only the later one.
pub(crate) const PROOF_FILE: Decoder = Decoder {
    name: "proof_file",
    run: |bytes| {
        let Ok(file) = File::decode(bytes) else {
            return;
        };
        assert_eq!(file.encode(), bytes);
        let json = &vectors::json("genesis")[0];
        let genesis: Genesis = serde_json::from_slice(json).unwrap();
        assert!(file.verify(Anchor::Genesis(&genesis)).is_err());
        let (trusted, later) = headers();
        if let Ok(held) = file.verify(Anchor::Block(trusted.id())) {
            assert_eq!(held.certified.header, later);
            assert_eq!(held.trusted.0, trusted.height);
        }
    },
    seeds: || {
        let address = key().address();
        let block = Block::decode(&vectors::bytes("block")[0]).unwrap();
        let about = [
            About::Entry(Subject::Account(address)),
            About::Entry(Subject::Checkpoint(RunId::ZERO, Step::new(3))),
            About::Provenance {
                run: RunId::ZERO,
                step: Step::new(1),
                commitments: BoundedVec::new(block.transactions.into_vec()).unwrap(),
            },
        ];
        let begin = Begin {
            header: headers().0,
            next_validators: BoundedVec::new(vec![(address, 5)]).unwrap(),
        };
        let begins = [None, Some(begin.clone()), Some(begin)];
        let file = |((evidence, about), begin)| {
            let file = File {
                begin,
                evidence,
                about,
            };
            file.encode()
        };
        let files = evidence().into_iter().zip(about).zip(begins);
        files.map(file).collect()
    },
};

/// What proves the later header and its entries.
fn evidence() -> Vec<Evidence> {
    let (_, header) = headers();
    let id = header.id();
    let link = Link {
        certificate: Certificate::sign(header.chain, header.height, id, &key()),
        header,
        validators: None,
        next_validators: None,
    };
    let of = |state: Proof| {
        let links = BoundedVec::new(vec![link.clone()]).unwrap();
        Evidence { links, state }
    };
    proofs().into_iter().map(of).collect()
}
