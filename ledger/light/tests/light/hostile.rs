//! Nobody without two thirds of a trusted set's power makes a client believe anything.

use crate::chain::{Powers, World, certify, entries, members, powers, sign};
use light_client::{Evidence, Link, LinkError};
use proptest::{collection, prelude::*};
use protocol::{
    BlockId, ChainId, Height,
    block::{Header, validators_hash},
};

fn four() -> Powers {
    powers(&[(1, 10), (2, 10), (3, 10), (4, 10)])
}

fn world() -> World {
    World::new(&[four(), four(), four(), four(), four()])
}

/// A header after genesis, and the link that an attacker makes of it.
fn forged(change: impl FnOnce(&mut Header), signers: &[u8]) -> Link {
    let world = world();
    let mut link = world.link(3, &[1, 2, 3]);
    change(&mut link.header);
    link.certificate = certify(&link.header, signers);
    link
}

fn refused(link: &Link) -> LinkError {
    let mut client = world().client();
    let before = client.clone();
    let error = client.advance(link).unwrap_err();
    assert_eq!(client, before, "a refused link leaves the client as it was");
    error
}

#[test]
fn half_of_the_power_decides_nothing() {
    let link = forged(|_| (), &[1, 2]);
    assert!(matches!(refused(&link), LinkError::Certificate(_)));
}

#[test]
fn strangers_decide_nothing() {
    let link = forged(|_| (), &[1, 2, 9]);
    assert!(matches!(refused(&link), LinkError::Certificate(_)));
}

#[test]
fn a_signature_is_counted_once() {
    let mut link = forged(|_| (), &[1, 2, 3]);
    let twice = link.certificate.signatures.as_slice()[..2].repeat(2);
    link.certificate.signatures = protocol::codec::BoundedVec::new(twice).unwrap();
    assert!(matches!(refused(&link), LinkError::Certificate(_)));
}

#[test]
fn an_attacker_that_names_its_own_validators_is_refused() {
    let own = powers(&[(7, 100), (8, 100)]);
    for height in [1, 3] {
        let mut link = forged(
            |header| {
                header.height = Height::new(height);
                header.validators = validators_hash(&own);
                header.next_validators = validators_hash(&own);
            },
            &[7, 8],
        );
        (link.validators, link.next_validators) = (Some(members(&own)), None);
        let error = refused(&link);
        assert!(
            matches!(error, LinkError::Untrusted { power: 0, .. }),
            "{error}"
        );
    }
}

#[test]
fn the_next_height_is_decided_by_nobody_but_its_own_set() {
    let more = powers(&[(1, 10), (2, 10), (3, 10), (4, 10), (5, 1)]);
    let mut link = forged(
        |header| {
            header.height = Height::new(1);
            header.validators = validators_hash(&more);
        },
        &[1, 2, 3, 4, 5],
    );
    link.validators = Some(members(&more));
    assert!(matches!(refused(&link), LinkError::Untrusted { .. }));
}

#[test]
fn lists_must_be_those_that_the_header_names() {
    let mut link = forged(|_| (), &[1, 2, 3]);
    link.next_validators = Some(members(&powers(&[(7, 1)])));
    assert!(matches!(refused(&link), LinkError::Validators { .. }));
    link.next_validators = Some(members(&vec![]));
    assert!(matches!(refused(&link), LinkError::Set { .. }));
}

#[test]
fn headers_must_be_of_this_chain_later_and_of_their_certificate() {
    let other = ChainId::from_bytes([9; 32]);
    let link = forged(|header| header.chain = other, &[1, 2, 3]);
    assert!(matches!(refused(&link), LinkError::Chain { .. }));
    let link = forged(|header| header.height = Height::ZERO, &[1, 2, 3]);
    assert!(matches!(refused(&link), LinkError::Height { .. }));
    let link = forged(|header| header.time_ms = 999, &[1, 2, 3]);
    assert!(matches!(refused(&link), LinkError::Time { .. }));
    let mut link = forged(|_| (), &[1, 2, 3]);
    link.header.parent = BlockId::from_bytes([1; 32]);
    assert!(matches!(refused(&link), LinkError::Block { .. }));
    let mut link = forged(|header| header.round = 2, &[1, 2, 3]);
    link.certificate.round = 1;
    assert!(matches!(refused(&link), LinkError::Round { .. }));
    let mut link = forged(|_| (), &[1, 2, 3]);
    link.certificate = sign(other, &link.header, &[1, 2, 3]);
    assert!(matches!(refused(&link), LinkError::Certificate(_)));
}

fn honest() -> (World, Evidence) {
    let late = powers(&[(2, 10), (3, 10), (4, 10), (5, 10)]);
    let world = World::new(&[four(), four(), late.clone(), late.clone(), late]);
    let links = vec![world.link(2, &[1, 2, 3]), world.link(4, &[2, 3, 4])];
    let evidence = world.evidence(links, &[vec![3, 1], vec![200, 1], vec![9, 1]]);
    (world, evidence)
}

proptest! {
    /// Any damage: what still verifies is about a header that was really decided, and true.
    #[test]
    fn damaged_evidence_proves_nothing_false(
        damage in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let (world, evidence) = honest();
        let mut bytes = evidence.encode();
        for (at, to) in damage {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let Ok(evidence) = Evidence::decode(&bytes) else { return Ok(()) };
        let Ok(held) = evidence.verify(world.client()) else { return Ok(()) };
        prop_assert!(world.headers.contains(&held.certified.header));
        let entries = entries();
        for key in entries.keys().chain([&vec![200, 1]]) {
            if let Ok(found) = held.state.get(key) {
                prop_assert_eq!(found, entries.get(key).map(Vec::as_slice));
            }
        }
    }

    /// A set that an attacker mixes of its own and trusted keys, of which fewer than two thirds
    /// sign, leads nowhere.
    #[test]
    fn no_mixture_of_validators_outweighs_two_thirds(
        signers in collection::btree_set(1_u8..=2, 0..=2),
        own_power in 1_u64..1_000_000,
        height in 1_u64..5,
    ) {
        let mixed = powers(&[(1, 10), (2, 10), (7, own_power), (8, own_power)]);
        let all: Vec<u8> = signers.into_iter().chain([7, 8]).collect();
        let mut link = forged(
            |header| {
                header.height = Height::new(height);
                header.validators = validators_hash(&mixed);
                header.next_validators = validators_hash(&mixed);
            },
            &all,
        );
        (link.validators, link.next_validators) = (Some(members(&mixed)), None);
        refused(&link);
    }
}
