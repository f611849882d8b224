//! Whole states in pieces: every honest piece passes, everything else is found at its piece.
#![allow(clippy::unwrap_used, reason = "tests")]

use ledger_tree::{Outline, OutlineError, Piece, Tree, part_of};
use protocol::StateRoot;
use std::collections::BTreeMap;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn entries(count: u64) -> Entries {
    let entry = |number: u64| {
        let value = vec![7; usize::try_from(number % 90).unwrap()];
        (number.to_be_bytes().to_vec(), value)
    };
    (0..count).map(entry).collect()
}

fn pieces(entries: &Entries, depth: u32) -> Vec<Piece> {
    let mut parts = vec![Vec::new(); 1 << depth];
    for (key, value) in entries {
        parts[part_of(key, depth)].push((key.clone(), value.clone()));
    }
    let pieces = parts.into_iter().map(|part| Piece::new(part).unwrap());
    pieces.collect()
}

#[test]
fn honest_outlines_and_pieces_pass_at_every_depth_and_size() {
    for count in [0, 1, 2, 3, 40, 1_000] {
        let entries = entries(count);
        let tree = Tree::of(&entries);
        for depth in [0, 1, 3, 8] {
            let outline = tree.outline(depth).unwrap();
            let outline = Outline::decode(&outline.encode()).unwrap();
            assert_eq!((outline.count(), outline.depth()), (1 << depth, depth));
            outline.verify(tree.root()).unwrap();
            let mut gathered = Entries::new();
            for (index, piece) in pieces(&entries, depth).into_iter().enumerate() {
                let piece = Piece::decode(&piece.encode()).unwrap();
                outline.check(index, &piece).unwrap();
                gathered.extend(piece.into_entries());
            }
            assert_eq!(gathered, entries);
        }
    }
}

#[test]
fn outline_of_another_state_is_refused() {
    let (one, other) = (Tree::of(&entries(100)), Tree::of(&entries(101)));
    let outline = one.outline(4).unwrap();
    let error = outline.verify(other.root()).unwrap_err();
    assert!(matches!(error, OutlineError::Root { .. }), "{error}");
}

#[test]
fn no_part_of_an_outline_can_be_changed() {
    let tree = Tree::of(&entries(20));
    let honest = tree.outline(4).unwrap().encode();
    for at in 0..honest.len() {
        for bit in 0..8 {
            let mut bytes = honest.clone();
            bytes[at] ^= 1 << bit;
            let Ok(outline) = Outline::decode(&bytes) else {
                continue;
            };
            outline.verify(tree.root()).unwrap_err();
        }
    }
}

#[test]
fn parts_that_are_no_power_of_two_are_refused() {
    let outline = Outline::decode(&[3, 0, 0, 0, 0, 0, 0]).unwrap();
    let error = outline.verify(StateRoot::from_bytes([0; 32])).unwrap_err();
    assert_eq!(error, OutlineError::Count { count: 3 });
    let outline = Outline::decode(&[0, 0, 0, 0]).unwrap();
    let error = outline.verify(StateRoot::from_bytes([0; 32])).unwrap_err();
    assert_eq!(error, OutlineError::Count { count: 0 });
}

#[test]
fn a_wrong_piece_is_found_by_itself() {
    let entries = entries(300);
    let tree = Tree::of(&entries);
    let outline = tree.outline(3).unwrap();
    let pieces = pieces(&entries, 3);
    let taken = || -> Vec<(Vec<u8>, Vec<u8>)> { pieces[5].clone().into_entries().collect() };
    let refused = |part| outline.check(5, &Piece::new(part).unwrap()).unwrap_err();

    let mut changed = taken();
    changed[7].1.push(1);
    assert!(matches!(refused(changed), OutlineError::Piece { .. }));
    let mut missing = taken();
    missing.pop();
    assert!(matches!(refused(missing), OutlineError::Piece { .. }));
    let mut more = taken();
    more.push(pieces[4].clone().into_entries().next().unwrap());
    assert!(matches!(refused(more), OutlineError::Stranger { .. }));
    let mut twice = taken();
    twice.push(twice[0].clone());
    assert!(matches!(refused(twice), OutlineError::Order { .. }));
    assert!(matches!(refused(Vec::new()), OutlineError::Piece { .. }));
    let error = outline.check(4, &pieces[5]).unwrap_err();
    assert!(matches!(error, OutlineError::Stranger { .. }), "{error}");
    let error = outline.check(8, &pieces[5]).unwrap_err();
    assert_eq!(error, OutlineError::Index { index: 8, count: 8 });
}
