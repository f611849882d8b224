//! A validator that lost its memory does not contradict itself.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use protocol::{BlockId, SigningKey};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

fn key() -> PublicKey {
    SigningKey::from_seed([1; 32]).address()
}

fn open(path: &Path) -> SigningHistory {
    SigningHistory::open(path, CHAIN, key()).unwrap()
}

fn vote(height: u64, round: u32, kind: VoteKind, block: u8) -> Signed {
    let block_id = (block > 0).then(|| BlockId::from_bytes([block; 32]));
    let height = Height::new(height);
    let vote = Vote {
        kind,
        height,
        round,
        block_id,
    };
    Signed::vote(CHAIN, &vote)
}

fn proposal(height: u64, round: u32, block: u8) -> Signed {
    let proposal = Proposal {
        height: Height::new(height),
        round,
        block_id: BlockId::from_bytes([block; 32]),
        valid_round: None,
    };
    Signed::proposal(CHAIN, &proposal)
}

use VoteKind::{Precommit, Prevote};

#[test]
fn heights_and_rounds_go_on_and_repeats_are_signed_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let all = [
        proposal(5, 0, 1),
        vote(5, 0, Prevote, 1),
        vote(5, 0, Precommit, 0),
        vote(5, 2, Prevote, 0),
        proposal(5, 2, 2),
        vote(5, 2, Precommit, 2),
    ];
    let mut history = open(&path);
    for signed in all {
        history.allow(signed).unwrap();
    }
    // After a restart the engine goes through the height again.
    let mut history = open(&path);
    for signed in all {
        history.allow(signed).unwrap();
    }
    history.allow(vote(6, 0, Prevote, 3)).unwrap();
    assert_eq!(history.height(), Height::new(6));
}

#[test]
fn a_second_message_in_the_place_of_another_is_refused_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    open(&path).allow(vote(5, 1, Prevote, 1)).unwrap();
    for other in [vote(5, 1, Prevote, 2), vote(5, 1, Prevote, 0)] {
        let refused = open(&path).allow(other).unwrap_err();
        assert!(
            matches!(refused, HistoryError::Contradiction { .. }),
            "{refused}"
        );
    }
}

#[test]
fn anything_lower_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = open(&folder.path().join("history"));
    history.allow(vote(5, 1, Precommit, 1)).unwrap();
    let lower = [
        vote(4, 9, Precommit, 1),
        vote(5, 0, Precommit, 1),
        vote(5, 1, Prevote, 1),
        proposal(5, 0, 1),
    ];
    for lower in lower {
        let refused = history.allow(lower).unwrap_err();
        assert!(matches!(refused, HistoryError::Lower { .. }), "{refused}");
    }
    history.allow(proposal(5, 1, 1)).unwrap();
}

#[test]
fn damage_anywhere_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let mut history = open(&path);
    history.allow(vote(5, 0, Prevote, 1)).unwrap();
    history.allow(vote(5, 0, Precommit, 1)).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), FILE_BYTES);
    let ends = [
        SLOT_BYTES,
        SLOT_BYTES + 9,
        2 * SLOT_BYTES - 1,
        3 * SLOT_BYTES - 60,
        // Something after the end, and the last byte.
        5 * SLOT_BYTES,
        FILE_BYTES - 1,
    ];
    for at in ends {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        let refused = SigningHistory::open(&path, CHAIN, key()).unwrap_err();
        assert!(matches!(refused, HistoryError::Damaged { .. }), "{refused}");
    }
    // A record that is gone, and one that is cut.
    let mut gap = bytes.clone();
    gap[SLOT_BYTES..2 * SLOT_BYTES].fill(0);
    for damaged in [gap.as_slice(), &bytes[..3 * SLOT_BYTES - 60]] {
        fs::write(&path, damaged).unwrap();
        let refused = SigningHistory::open(&path, CHAIN, key()).unwrap_err();
        assert!(matches!(refused, HistoryError::Damaged { .. }), "{refused}");
    }
    // Zeros say nothing, so a file without them is as good.
    fs::write(&path, &bytes[..3 * SLOT_BYTES]).unwrap();
    assert!(open(&path).allow(vote(5, 0, Precommit, 2)).is_err());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_unfinished_record_at_the_end_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    open(&path).allow(vote(5, 0, Prevote, 1)).unwrap();
    let whole = fs::read(&path).unwrap();
    let torn = record(&vote(5, 0, Precommit, 1));
    let end = 2 * SLOT_BYTES;
    for count in 1..CHECKSUM_END.start {
        let mut bytes = whole.clone();
        bytes[end..end + count].copy_from_slice(&torn[..count]);
        fs::write(&path, &bytes).unwrap();
        open(&path).allow(vote(5, 0, Precommit, 0)).unwrap();
        assert!(open(&path).allow(vote(5, 0, Precommit, 1)).is_err());
        // It was signed, so it is not unfinished: something follows.
        bytes[end + SLOT_BYTES..end + 2 * SLOT_BYTES].copy_from_slice(&torn);
        fs::write(&path, &bytes).unwrap();
        let refused = SigningHistory::open(&path, CHAIN, key()).unwrap_err();
        assert!(matches!(refused, HistoryError::Damaged { .. }), "{refused}");
    }
}

#[test]
fn a_file_of_the_first_format_goes_on_in_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let all = [
        vote(4, 0, Precommit, 1),
        vote(5, 0, Prevote, 1),
        vote(5, 0, Precommit, 1),
    ];
    let mut first = [FIRST_MAGIC.as_slice(), CHAIN.as_bytes(), key().as_bytes()].concat();
    for signed in &all {
        first.extend(&record(signed)[..FIRST_RECORD_BYTES]);
    }
    fs::write(&path, &first).unwrap();
    let mut history = open(&path);
    assert!(history.allow(vote(5, 0, Precommit, 2)).is_err());
    history.allow(vote(5, 0, Precommit, 1)).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(MAGIC));
    assert!(open(&path).allow(vote(4, 1, Prevote, 2)).is_err());
    // Its unfinished last record is that of a signature that never left.
    fs::write(&path, &first[..first.len() - 3]).unwrap();
    open(&path).allow(vote(5, 0, Precommit, 2)).unwrap();
    assert!(open(&path).allow(vote(5, 0, Precommit, 1)).is_err());
    // Damage in it is named as ever.
    first[FIRST_HEAD_BYTES + 9] ^= 1;
    fs::write(&path, &first).unwrap();
    let refused = SigningHistory::open(&path, CHAIN, key()).unwrap_err();
    assert!(matches!(refused, HistoryError::Damaged { .. }), "{refused}");
}

#[test]
fn a_history_is_of_one_key_on_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    drop(open(&path));
    let other = SigningKey::from_seed([2; 32]).address();
    let chain = ChainId::from_bytes([2; 32]);
    for (chain, key) in [(CHAIN, other), (chain, key())] {
        let refused = SigningHistory::open(&path, chain, key).unwrap_err();
        assert!(matches!(refused, HistoryError::Other { .. }), "{refused}");
    }
}

#[test]
fn a_history_that_was_carried_over_holds_on_the_other_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let mut history = open(&here);
    history.allow(vote(7, 1, Prevote, 1)).unwrap();
    let export = history.export();
    let json = serde_json::to_string(&export).unwrap();
    let export: Export = serde_json::from_str(&json).unwrap();
    let mut moved = open(&there);
    moved.allow(vote(3, 0, Prevote, 9)).unwrap();
    moved.import(&export).unwrap();
    let mut moved = open(&there);
    assert!(moved.allow(vote(7, 1, Prevote, 2)).is_err());
    assert!(moved.allow(vote(6, 0, Prevote, 2)).is_err());
    moved.allow(vote(7, 1, Precommit, 1)).unwrap();
    // An older export changes nothing; one that contradicts is refused.
    moved
        .import(&Export {
            height: Height::new(2),
            signed: vec![],
            ..export.clone()
        })
        .unwrap();
    assert_eq!(moved.height(), Height::new(7));
    let signed = vec![vote(7, 1, Prevote, 5)];
    assert!(
        moved
            .import(&Export {
                signed,
                ..export.clone()
            })
            .is_err()
    );
    // A bare height forbids everything up to it.
    let bare = Export {
        height: Height::new(9),
        signed: vec![],
        ..export
    };
    moved.import(&bare).unwrap();
    assert!(open(&there).allow(vote(9, 4, Precommit, 1)).is_err());
    open(&there).allow(vote(10, 0, Prevote, 1)).unwrap();
}

#[test]
fn a_full_file_is_written_anew_when_a_height_begins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let mut history = open(&path);
    let rounds = u32::try_from(FILE_BYTES / SLOT_BYTES).unwrap();
    // A height of more rounds than the file has places: it grows.
    for round in 0..rounds {
        history.allow(vote(1, round, Prevote, 1)).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap().len(), FILE_BYTES + SLOT_BYTES);
    let mut history = open(&path);
    assert!(history.allow(vote(1, rounds - 1, Prevote, 2)).is_err());
    history.allow(vote(1, rounds, Prevote, 1)).unwrap();
    history.allow(vote(2, 0, Prevote, 1)).unwrap();
    assert_eq!(fs::read(&path).unwrap().len(), FILE_BYTES);
    assert!(open(&path).allow(vote(2, 0, Prevote, 2)).is_err());
    open(&path).allow(vote(2, 0, Precommit, 1)).unwrap();
}

#[test]
fn only_places_after_the_last_are_open_to_something_new() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = open(&folder.path().join("history"));
    history.allow(vote(5, 1, Prevote, 1)).unwrap();
    let table = [
        (4, 9, Message::Proposal, false),
        (5, 0, Message::Proposal, false),
        (5, 1, Message::Proposal, true),
        (5, 1, Message::Prevote, false),
        (5, 1, Message::Precommit, true),
        (5, 2, Message::Prevote, true),
        (6, 0, Message::Proposal, true),
    ];
    for (height, round, message, expect) in table {
        let allowed = history.allows_new(Height::new(height), round, message);
        assert_eq!(
            allowed, expect,
            "height {height}, round {round}, {message:?}"
        );
    }
    history.allow(proposal(5, 2, 1)).unwrap();
    assert!(!history.allows_new(Height::new(5), 2, Message::Proposal));
}
