//! Moves in disputes, which the state machine reads out of transactions.

use crate::Decoder;
use engine_trace::{
    dispute::{Answer, Question, Shown as Operand},
    tree::Opening,
};
use ledger_state::verdict::dispute::{
    Asked, Block, Claimed, Entries, Leafed, Move, Planned, Response, Shown, Token, players,
};
use protocol::{
    gradient::Payload,
    rollout::{Digest, Finish, Seal, Tree},
};

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
            Some(Move::Answer(Answer::Operands(vec![9; 3]))),
            Some(Move::Plan(Box::new(Planned {
                plan: [4; 32],
                ends: [0, 12],
                entries: vec![opened(0), opened(1)],
                table: vec![[5; 32]; 16],
            }))),
            Some(Move::WrongPlan),
            Some(Move::Entries(Box::new(Entries {
                bytes: vec![6; 64],
                before: Some(opened(0)),
            }))),
            Some(Move::Responses(vec![Response {
                leaf: leafed(),
                tokens: vec![7, 8, 0],
            }])),
            Some(Move::Asked(Box::new(Asked {
                question: Question::Show(Some(Box::new(Operand {
                    index: 3,
                    entry: Some(opened(1)),
                    piece: opened(2),
                }))),
                entries: vec![opened(2)],
            }))),
            Some(Move::Token(Box::new(Token {
                entry: opened(0),
                response: Some((leafed(), opened(1))),
            }))),
            Some(Move::Block(Box::new(Block {
                block: 1,
                blob: vec![opened(0), opened(1)],
                sum: opened(1),
            }))),
            Some(Move::Sums(vec![8; 16])),
            Some(Move::Square(Box::new(opened(2)))),
        ];
        let moves = moves.into_iter().flatten();
        moves
            .map(|play| play.encode().unwrap().as_slice().to_vec())
            .collect()
    },
};

fn leafed() -> Leafed {
    let leaf = Digest::from_bytes([1; 32]);
    let tree = Tree::of(vec![leaf; 3]).unwrap();
    Leafed {
        tokens: leaf,
        tokens_count: 3,
        finish: Finish::EndOfSequence,
        reward_micro: 9,
        sealed: Seal::from_bytes([2; 32]),
        inclusion: tree.inclusion(1).unwrap(),
        plant_seal: Seal::from_bytes([3; 32]),
        sketch_seal: Seal::from_bytes([4; 32]),
    }
}

fn run(bytes: &[u8]) {
    let Some(play) = Move::decode(bytes) else {
        return;
    };
    // Nothing longer is in a transaction.
    if let Ok(encoded) = play.encode() {
        assert_eq!(encoded.as_slice(), bytes);
    }
}
