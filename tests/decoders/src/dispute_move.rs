//! Moves in disputes, which the state machine reads out of transactions.

use crate::Decoder;
use engine_trace::{
    dispute::{Answer, Question},
    tree::Opening,
};
use ledger_state::verdict::dispute::{Claimed, Move, Shown, players};
use protocol::gradient::Payload;

pub(crate) const DECODER: Decoder = Decoder {
    name: "dispute_move",
    run,
    seeds: || {
        let blob: Vec<u8> = (0..3_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let opened = |piece: u64| Opening::of(&blob, piece * 1_024);
        let files = (vec![1; 4_096], vec![2; 4_096]);
        let update = players::update(&blob, Payload::update_byte(4, 2), (&files.0, &files.1));
        let moves = [
            Some(players::steps(Vec::new(), 0..2, &blob)),
            Some(Move::Wrong(1)),
            update,
            Some(Move::Chunk(Box::new(Claimed {
                chunk: 1,
                blob: vec![opened(1)],
            }))),
            Some(Move::Values(vec![1, 2, 3])),
            Some(Move::Value(Box::new(Shown {
                index: 9,
                before: opened(0),
                after: opened(1),
                lost: Some(opened(2)),
                blob: vec![opened(2)],
            }))),
            Some(Move::Feedback),
            Some(Move::Answer(Answer::Names(vec![[3; 32]; 2]))),
            Some(Move::Question(Question::First(1))),
        ];
        let moves = moves.into_iter().flatten();
        moves
            .map(|play| play.encode().unwrap().as_slice().to_vec())
            .collect()
    },
};

fn run(bytes: &[u8]) {
    let Some(play) = Move::decode(bytes) else {
        return;
    };
    // Nothing longer is in a transaction.
    if let Ok(encoded) = play.encode() {
        assert_eq!(encoded.as_slice(), bytes);
    }
}
