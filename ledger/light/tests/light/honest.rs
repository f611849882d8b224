//! Where everyone is honest, clients get where they want.

use crate::chain::{Powers, World, entries, members, powers};
use light_client::{Client, LinkError, ancestors};

/// Four validators of equal power; from height `at` on, the fifth instead of the first.
fn replaced(length: u64, at: u64) -> Vec<Powers> {
    let early = powers(&[(1, 10), (2, 10), (3, 10), (4, 10)]);
    let late = powers(&[(5, 10), (2, 10), (3, 10), (4, 10)]);
    let set = |height| if height < at { &early } else { &late };
    (1..=length + 1).map(|height| set(height).clone()).collect()
}

#[test]
fn every_header_is_reached_step_by_step() {
    let world = World::new(&replaced(10, 5));
    let mut client = world.client();
    for height in 1..=10 {
        let first = if height < 5 { 1 } else { 5 };
        let certified = client.advance(&world.link(height, &[first, 2, 3])).unwrap();
        assert_eq!(certified.header, *world.header(height));
        assert_eq!((certified.power, certified.power_total), (30, 40));
        assert_eq!(client.height().get(), height);
    }
}

#[test]
fn headers_are_left_out_while_two_thirds_of_the_trusted_power_sign() {
    let world = World::new(&replaced(10, 5));
    let all = world.client().advance(&world.link(10, &[2, 3, 4, 5]));
    assert!(all.is_ok(), "three of four trusted validators signed");
    let refused = world.client().advance(&world.link(10, &[2, 3, 5]));
    let LinkError::Untrusted {
        power, power_total, ..
    } = refused.unwrap_err()
    else {
        panic!("two of four trusted validators are not two thirds");
    };
    assert_eq!((power, power_total), (20, 40));
}

#[test]
fn a_set_with_nobody_in_common_is_reached_through_the_header_that_names_it() {
    let (early, late) = (powers(&[(1, 1), (2, 1)]), powers(&[(3, 1), (4, 1)]));
    let world = World::new(&[early.clone(), early, late.clone(), late.clone(), late]);
    let mut client = world.client();
    let far = world.link(4, &[3, 4]);
    assert!(matches!(
        client.advance(&far),
        Err(LinkError::Untrusted { .. })
    ));
    client.advance(&world.link(2, &[1, 2])).unwrap();
    client.advance(&far).unwrap();
}

#[test]
fn lists_of_validators_are_left_out_where_nothing_changes() {
    let world = World::new(&replaced(3, 100));
    let mut link = world.link(3, &[1, 2, 4]);
    (link.validators, link.next_validators) = (None, None);
    world.client().advance(&link).unwrap();
}

#[test]
fn a_client_may_begin_with_a_header_that_it_trusts() {
    let world = World::new(&replaced(10, 5));
    let next = members(world.set(7));
    let mut client = Client::of_header(world.header(6), &next).unwrap();
    client.advance(&world.link(7, &[5, 2, 3])).unwrap();
    let wrong = Client::of_header(world.header(6), &members(world.set(1)));
    assert!(matches!(wrong, Err(LinkError::Validators { .. })));
}

#[test]
fn headers_below_a_certified_one_are_bound_by_their_hashes() {
    let world = World::new(&replaced(10, 5));
    let (last, before) = world.headers.split_last().unwrap();
    ancestors(before, last).unwrap();
    let mut forged = before.to_vec();
    forged[3].time_ms += 1;
    assert!(matches!(
        ancestors(&forged, last),
        Err(LinkError::Parent { .. })
    ));
    forged[3] = before[4].clone();
    assert!(ancestors(&forged, last).is_err());
}

#[test]
fn entries_are_proven_present_and_absent() {
    let world = World::new(&replaced(10, 100));
    let keys = [vec![7, 1], vec![99, 99]];
    let evidence = world.evidence(vec![world.link(9, &[1, 2, 3])], &keys);
    let held = evidence.verify(world.client()).unwrap();
    assert_eq!(held.certified.header.height.get(), 9);
    assert_eq!(held.state.get(&keys[0]).unwrap(), Some([7; 7].as_slice()));
    assert_eq!(held.state.get(&keys[1]), Ok(None));
    assert!(
        entries()
            .keys()
            .filter(|key| held.state.get(key).is_ok())
            .count()
            < 50
    );
}
