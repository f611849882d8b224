//! What a validator and its signer say to each other over their socket. The first byte says who
//! speaks, a frame follows; a request is answered, too.

use crate::Decoder;
use ledger_consensus::{
    Vote, VoteKind,
    signer::{Answer, LocalSigner, Refusal, Request, frame, refused},
};
use protocol::{
    Address, ChainId, Height, Nonce, SigningKey,
    codec::Bytes,
    transaction::{Body, Fee, Transaction},
};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

fn signer() -> LocalSigner {
    let key = SigningKey::from_seed([1; 32]);
    LocalSigner::new(CHAIN, key.clone(), key, None)
}

fn framed<T: borsh::BorshSerialize>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, message).unwrap();
    bytes
}

/// Reads a frame; what is accepted is written as it was.
fn read<T: borsh::BorshDeserialize + borsh::BorshSerialize>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let message = frame::read::<T>(&mut rest).ok()??;
    let taken = bytes.len() - rest.len();
    assert_eq!(
        framed(&message),
        &bytes[..taken],
        "messages have one encoding"
    );
    Some(message)
}

pub(crate) const DECODER: Decoder = Decoder {
    name: "signer",
    run: |bytes| match bytes.split_first() {
        Some((0, bytes)) => {
            let Some(request) = read::<Request>(bytes) else {
                return;
            };
            let answer = signer().answer(&request);
            if let (Request::Transaction(content), Answer::Signature(_)) = (&request, &answer) {
                assert_eq!(content.chain, CHAIN);
                assert_eq!(content.sender, SigningKey::from_seed([1; 32]).address());
            }
            assert_eq!(read::<Answer>(&framed(&answer)), Some(answer));
        }
        Some((_, bytes)) => drop(read::<Answer>(bytes)),
        None => {}
    },
    seeds: || {
        let operator: Address = SigningKey::from_seed([1; 32]).address();
        let vote = Vote {
            kind: VoteKind::Prevote,
            height: Height::new(5),
            round: 0,
            block_id: None,
        };
        let (nonce, fee) = (Nonce::new(1), Fee::NONE);
        let body = Body::Unjail { operator };
        let content = Transaction {
            chain: CHAIN,
            sender: operator,
            nonce,
            fee,
            body,
        };
        let alpha = Bytes::new(vec![7; 32]).unwrap();
        let requests = [
            Request::Status,
            Request::Vote(vote),
            Request::Vouch(operator),
            Request::Randomness(alpha),
            Request::Transaction(Box::new(content)),
        ];
        let answers = requests.clone().map(|request| signer().answer(&request));
        let said = answers.into_iter().chain([refused(Refusal::Busy, "busy")]);
        let asked = requests
            .iter()
            .map(|request| [vec![0], framed(request)].concat());
        asked
            .chain(said.map(|answer| [vec![1], framed(&answer)].concat()))
            .collect()
    },
};
