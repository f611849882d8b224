//! Gossip reaches everyone, and what is malformed reaches nobody twice.

use crate::{
    harness::{Node, noise},
    hostile::{Hostile, Signing},
};
use network::{
    Judgement, NetworkEvent, Offence, PublishError,
    limits::{ANNOUNCEMENT_BYTES_MAX, TRANSACTION_BYTES_MAX},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_reaches_all_of_four_nodes_over_one_hop_or_more() {
    let first = Node::start(1, &[]).await;
    let mut second = Node::start(2, &[&first]).await;
    let mut third = Node::start(3, &[&second]).await;
    let mut fourth = Node::start(4, &[&third]).await;
    first
        .status(second.peer(), |status| status.topic_count == 2)
        .await;
    second
        .status(third.peer(), |status| status.topic_count == 2)
        .await;
    third
        .status(fourth.peer(), |status| status.topic_count == 2)
        .await;
    first
        .network
        .publish_transaction(b"a stone".to_vec())
        .await
        .unwrap();
    assert_eq!(second.accept().await, b"a stone");
    assert_eq!(third.accept().await, b"a stone");
    assert_eq!(fourth.accept().await, b"a stone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_published_before_anyone_is_there_arrives_later() {
    let first = Node::start(1, &[]).await;
    first
        .network
        .publish_transaction(b"early".to_vec())
        .await
        .unwrap();
    first
        .network
        .publish_announcement(b"news".to_vec())
        .await
        .unwrap();
    let mut second = Node::start(2, &[&first]).await;
    let (mut transaction, mut announcement) = (None, None);
    second
        .event(|event| {
            match event {
                NetworkEvent::Transaction { bytes, .. } => transaction = Some(bytes),
                NetworkEvent::Announcement { bytes, .. } => announcement = Some(bytes),
                _ => {}
            }
            (transaction.is_some() && announcement.is_some()).then_some(())
        })
        .await;
    assert_eq!(transaction.unwrap(), b"early");
    assert_eq!(announcement.unwrap(), b"news");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_bytes_travel_on_both_topics() {
    let first = Node::start(1, &[]).await;
    let mut second = Node::start(2, &[&first]).await;
    second.connected_to(&[first.peer()]).await;
    first
        .network
        .publish_announcement(b"stone".to_vec())
        .await
        .unwrap();
    first
        .network
        .publish_transaction(b"stone".to_vec())
        .await
        .unwrap();
    assert_eq!(second.accept().await, b"stone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_transaction_is_not_forwarded_and_its_bearer_is_banned_in_the_end() {
    let first = Node::start(1, &[]).await;
    let mut middle = Node::start(2, &[&first]).await;
    middle.connected_to(&[first.peer()]).await;
    for round in 0..5 {
        first
            .network
            .publish_transaction(vec![round; 10])
            .await
            .unwrap();
        let (_, token) = middle.transaction().await;
        assert_eq!(token.source(), first.peer());
        middle.network.judge(token, Judgement::Reject).await;
        if round == 3 {
            let status = middle
                .status(first.peer(), |s| s.malformed_count == 4)
                .await;
            assert!(status.score < 0.0);
        }
    }
    let (peer, offence) = middle
        .event(|event| match event {
            NetworkEvent::PeerBanned { peer, offence } => Some((peer, offence)),
            _ => None,
        })
        .await;
    assert_eq!((peer, offence), (first.peer(), Offence::MalformedMessage));
    middle
        .event(|event| matches!(event, NetworkEvent::PeerDisconnected { .. }).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_gossip_is_dropped_and_counted() {
    let mut node = Node::start(1, &[]).await;
    let hostile = Hostile::without_blobs().await;
    hostile.dial(&node.network.listen_addresses()[0]).await;
    hostile.gossip(noise(1, TRANSACTION_BYTES_MAX + 1)).await;
    node.status(hostile.peer, |status| status.malformed_count == 1)
        .await;
    hostile.gossip(b"within the limit".to_vec()).await;
    let (bytes, _) = node.transaction().await;
    assert_eq!(bytes, b"within the limit");
    for seed in 2..6 {
        hostile.gossip(noise(seed, TRANSACTION_BYTES_MAX + 1)).await;
    }
    let banned = node
        .event(|event| match event {
            NetworkEvent::PeerBanned { peer, .. } => Some(peer),
            _ => None,
        })
        .await;
    assert_eq!(banned, hostile.peer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frame_of_many_megabytes_does_not_reach_the_node() {
    let mut node = Node::start(1, &[]).await;
    let hostile = Hostile::without_blobs().await;
    hostile.dial(&node.network.listen_addresses()[0]).await;
    hostile.gossip(noise(1, 8 * 1024 * 1024)).await;
    let mut honest = Node::start(2, &[&node]).await;
    let early = honest
        .network
        .publish_transaction(b"still listening".to_vec());
    early.await.unwrap();
    assert_eq!(node.accept().await, b"still listening");
    let late = node.network.publish_transaction(b"still alive".to_vec());
    late.await.unwrap();
    assert_eq!(honest.accept().await, b"still alive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_oversized_messages_are_refused_with_the_limit() {
    let node = Node::start(1, &[]).await;
    let error = node
        .network
        .publish_transaction(vec![0; TRANSACTION_BYTES_MAX + 1])
        .await;
    let limit_bytes = TRANSACTION_BYTES_MAX;
    let expected = PublishError::TooLarge {
        bytes: limit_bytes + 1,
        limit_bytes,
    };
    assert_eq!(error, Err(expected));
    let error = node
        .network
        .publish_announcement(vec![0; ANNOUNCEMENT_BYTES_MAX + 1])
        .await;
    assert!(matches!(error, Err(PublishError::TooLarge { .. })));
    node.network.shutdown().await;
    let error = node.network.publish_transaction(vec![1]).await;
    assert_eq!(error, Err(PublishError::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomer_learns_what_it_missed() {
    let first = Node::start(1, &[]).await;
    let mut second = Node::start(2, &[&first]).await;
    let early = first.network.publish_transaction(b"early".to_vec());
    early.await.unwrap();
    assert_eq!(second.accept().await, b"early");
    first.network.shutdown().await;
    let mut third = Node::start(3, &[&second]).await;
    assert_eq!(third.accept().await, b"early");
    let mut fourth = Node::start(4, &[&third]).await;
    assert_eq!(fourth.accept().await, b"early");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_unsigned_gossip_ends_in_a_ban() {
    let mut node = Node::start(1, &[]).await;
    let hostile = Hostile::start_signing(vec![], |_, _| None, Signing::Unsigned).await;
    hostile.dial(&node.network.listen_addresses()[0]).await;
    for seed in 0..20 {
        hostile.gossip(noise(seed, 100)).await;
    }
    let banned = node
        .event(|event| match event {
            NetworkEvent::PeerBanned { peer, offence } => Some((peer, offence)),
            NetworkEvent::Transaction { .. } => panic!("an unsigned message was delivered"),
            _ => None,
        })
        .await;
    assert_eq!(banned, (hostile.peer, Offence::GossipRules));
}
