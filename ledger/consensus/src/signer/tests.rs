#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::VoteKind;
use protocol::{
    Amount, BlobId, BlockId, Nonce,
    transaction::{Body, Fee},
};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

fn keys() -> (SigningKey, SigningKey) {
    (
        SigningKey::from_seed([2; 32]),
        SigningKey::from_seed([3; 32]),
    )
}

fn signer(home: &std::path::Path) -> LocalSigner {
    let (operator, consensus) = keys();
    let path = home.join("signing-history");
    let history = SigningHistory::open(&path, CHAIN, consensus.address()).unwrap();
    LocalSigner::new(CHAIN, operator, consensus, Some(history))
}

fn vote(height: u64, block: u8) -> Vote {
    Vote {
        kind: VoteKind::Precommit,
        height: Height::new(height),
        round: 0,
        block_id: Some(BlockId::from_bytes([block; 32])),
    }
}

fn refusal(answer: Answer) -> (Refusal, String) {
    match answer {
        Answer::Refused(refusal, reason) => (refusal, reason.as_str().to_owned()),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn votes_are_signed_by_the_consensus_key_and_never_contradict_even_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let first = signer(home.path()).answer(&Request::Vote(vote(9, 1)));
    let Answer::Signature(signature) = first else {
        panic!("{first:?}");
    };
    let bytes = vote(9, 1).signing_bytes(CHAIN);
    keys().1.address().verify(&bytes, &signature).unwrap();

    let again = signer(home.path());
    assert_eq!(
        again.answer(&Request::Vote(vote(9, 1))),
        Answer::Signature(signature)
    );
    let (kind, reason) = refusal(again.answer(&Request::Vote(vote(9, 2))));
    assert_eq!(kind, Refusal::Contradiction);
    assert_eq!(
        reason,
        "another Precommit of height 9, round 0 was signed before"
    );
    let (kind, reason) = refusal(again.answer(&Request::Vote(vote(8, 1))));
    assert_eq!(kind, Refusal::Contradiction);
    assert!(reason.contains("height 9, round 0 was"), "{reason}");
    let height = Height::new(9);
    let may = |round| again.answer(&Request::MayPropose { height, round });
    assert_eq!((may(0), may(1)), (Answer::May(true), Answer::May(true)));
    let height = Height::new(8);
    assert_eq!(
        again.answer(&Request::MayPropose { height, round: 5 }),
        Answer::May(false)
    );
    let Answer::Status(status) = again.answer(&Request::Status) else {
        panic!("no status");
    };
    assert_eq!(status.height, Height::new(9));
    assert_eq!(
        (status.operator, status.consensus),
        (keys().0.address(), keys().1.address())
    );
}

#[test]
fn a_history_that_cannot_be_written_stops_every_new_signature() {
    let home = tempfile::tempdir().unwrap();
    let signer = signer(home.path());
    assert!(matches!(
        signer.answer(&Request::Vote(vote(1, 1))),
        Answer::Signature(_)
    ));
    // What is written goes to a file that refuses it.
    signer
        .with_history(|history| history.fail_writes())
        .unwrap();
    let (kind, reason) = refusal(signer.answer(&Request::Vote(vote(2, 1))));
    assert_eq!(kind, Refusal::History, "{reason}");
}

#[test]
fn only_duties_of_this_operator_on_this_chain_are_signed() {
    let home = tempfile::tempdir().unwrap();
    let signer = signer(home.path());
    let operator = keys().0.address();
    let transaction = |chain, sender, body| {
        let nonce = Nonce::new(0);
        let fee = Fee::NONE;
        let content = Transaction {
            chain,
            sender,
            nonce,
            fee,
            body,
        };
        signer.answer(&Request::Transaction(Box::new(content)))
    };
    let signed = transaction(CHAIN, operator, Body::Unjail { operator });
    assert!(matches!(signed, Answer::Signature(_)), "{signed:?}");
    let other = ChainId::from_bytes([9; 32]);
    let table = [
        (
            transaction(other, operator, Body::Unjail { operator }),
            "is of chain",
        ),
        (
            transaction(CHAIN, keys().1.address(), Body::Unjail { operator }),
            "the key is",
        ),
        (
            transaction(
                CHAIN,
                operator,
                Body::Transfer {
                    to: keys().1.address(),
                    amount: Amount::new(1),
                },
            ),
            "transfer is no duty",
        ),
    ];
    for (answer, expect) in table {
        let (kind, reason) = refusal(answer);
        assert_eq!(kind, Refusal::NotSigned);
        assert!(reason.contains(expect), "{reason}");
    }
}

#[test]
fn a_vote_signed_here_is_worthless_on_another_chain() {
    let home = tempfile::tempdir().unwrap();
    let Answer::Signature(signature) = signer(home.path()).answer(&Request::Vote(vote(9, 1)))
    else {
        panic!("refused");
    };
    let elsewhere = vote(9, 1).signing_bytes(ChainId::from_bytes([9; 32]));
    assert!(keys().1.address().verify(&elsewhere, &signature).is_err());
}

fn through<T: BorshSerialize + BorshDeserialize>(message: &T) -> T {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, message).unwrap();
    frame::read(&mut bytes.as_slice()).unwrap().unwrap()
}

#[test]
fn frames_carry_messages_and_refuse_everything_else() {
    let head = Head {
        height: Height::new(7),
        round: 0,
        block_id: BlockId::from_bytes([1; 32]),
        body_bytes: 9,
        body_hash: BlobId::of(b"body"),
    };
    for request in [
        Request::Status,
        Request::Vote(vote(7, 1)),
        Request::Head(head),
    ] {
        assert_eq!(through(&request), request);
    }
    let answer = refused(Refusal::Busy, &"long ".repeat(200));
    assert_eq!(through(&answer), answer);

    let mut good = Vec::new();
    frame::write(&mut good, &Request::Status).unwrap();
    let mut other_version = good.clone();
    other_version[4] = 2;
    let table: [(Vec<u8>, &str); 5] = [
        (u32::MAX.to_le_bytes().to_vec(), "at most"),
        (
            [&3_u32.to_le_bytes()[..], &[1, 0, 0]].concat(),
            "a version has 4",
        ),
        (other_version, "of version 2"),
        (good[..good.len() - 1].to_vec(), "failed to fill"),
        (
            [&6_u32.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0]].concat(),
            "signer message",
        ),
    ];
    for (bytes, expect) in table {
        let error = frame::read::<Request>(&mut bytes.as_slice()).unwrap_err();
        assert!(error.to_string().contains(expect), "{expect}: {error}");
    }
    assert!(
        frame::read::<Request>(&mut &[][..]).unwrap().is_none(),
        "the other end is gone"
    );
}
