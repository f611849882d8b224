//! Blobs arrive whole or not at all, whoever lies and whoever leaves.

use crate::{
    harness::{Node, noise, patiently},
    hostile::{Hostile, blob_protocol, honest, liar},
};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use network::{AttemptError, FetchError, limits::SEGMENT_BYTES_MAX};
use protocol::BlobId;

const MEGABYTE: usize = 1024 * 1024;

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_megabytes_arrive_from_peers_and_are_passed_on() {
    let first = Node::start(1, &[]).await;
    let second = Node::start(2, &[&first]).await;
    let third = Node::start(3, &[&second]).await;
    let blob = noise(1, 3 * MEGABYTE + 123);
    let id = first.store.insert(&blob).unwrap();
    first.network.provide(id).await;
    patiently(second.network.fetch(id, length(&blob), vec![]))
        .await
        .unwrap();
    assert_eq!(second.store.get(&id).unwrap().unwrap(), blob);
    first.network.shutdown().await;
    let hint = second.peer().to_string();
    patiently(third.network.fetch(id, length(&blob), vec![hint]))
        .await
        .unwrap();
    assert_eq!(third.store.get(&id).unwrap().unwrap(), blob);
    let status = third.status(second.peer(), |s| s.received_bytes > 0).await;
    assert_eq!(status.received_bytes, length(&blob));
    second
        .status(third.peer(), |s| s.sent_bytes > length(&blob))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_of_every_awkward_size_arrive() {
    let provider = Node::start(1, &[]).await;
    let requester = Node::start(2, &[&provider]).await;
    for size in [
        0,
        1,
        1023,
        1024,
        16_383,
        16_384,
        16_385,
        MEGABYTE - 1,
        MEGABYTE,
        MEGABYTE + 1,
    ] {
        let blob = noise(7, size);
        let id = provider.store.insert(&blob).unwrap();
        patiently(requester.network.fetch(id, length(&blob), vec![]))
            .await
            .unwrap();
        assert_eq!(requester.store.get(&id).unwrap().unwrap(), blob);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liar_is_detected_and_the_blob_arrives_from_another() {
    let blob = noise(2, 3 * MEGABYTE);
    let liar = Hostile::start(blob.clone(), liar).await;
    let provider = Node::start(1, &[]).await;
    let id = provider.store.insert(&blob).unwrap();
    let requester = Node::start(2, &[&provider]).await;
    requester.connected_to(&[provider.peer()]).await;
    let hints = vec![liar.address.clone()];
    patiently(requester.network.fetch(id, length(&blob), hints.clone()))
        .await
        .unwrap();
    assert_eq!(requester.store.get(&id).unwrap().unwrap(), blob);
    // The race for segments may have ended before the liar got one; alone it cannot hide.
    requester.store.remove(&id).unwrap();
    provider.network.shutdown().await;
    let error = patiently(requester.network.fetch(id, length(&blob), hints))
        .await
        .unwrap_err();
    let FetchError::Exhausted { attempts, .. } = &error else {
        panic!("{error}")
    };
    let of_liar = attempts
        .iter()
        .find(|attempt| attempt.peer == liar.peer.to_string());
    let reason = &of_liar.unwrap_or_else(|| panic!("{error}")).error;
    assert!(matches!(
        reason,
        AttemptError::Corrupt { .. } | AttemptError::Unreachable { .. }
    ));
    assert!(requester.store.get(&id).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lie_costs_its_teller_points_and_is_named_with_its_place() {
    let blob = noise(2, 100_000);
    let liar = Hostile::start(blob.clone(), liar).await;
    let requester = Node::start(2, &[]).await;
    let id = BlobId::of(&blob);
    let hints = vec![liar.address.clone()];
    let error = patiently(requester.network.fetch(id, length(&blob), hints))
        .await
        .unwrap_err();
    let FetchError::Exhausted { attempts, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(attempts[0].error, AttemptError::Corrupt { offset: 98_304 });
    assert!(error.to_string().contains(&liar.peer.to_string()));
    let status = requester
        .status(liar.peer, |s| s.malformed_count == 1)
        .await;
    assert_eq!(status.received_bytes, 98_304);
    assert_eq!(liar.asked.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_download_resumes_without_refetching_what_was_verified() {
    let blob = noise(3, 3 * MEGABYTE);
    let id = BlobId::of(&blob);
    let quitter = |answered_count, encoded: Vec<u8>| match answered_count {
        0 => honest(0, encoded),
        1 => honest(0, encoded[..encoded.len() / 2].to_vec()),
        _ => None,
    };
    let quitter = Hostile::start(blob.clone(), quitter).await;
    let requester = Node::start(1, &[]).await;
    let fetch = requester
        .network
        .fetch(id, length(&blob), vec![quitter.address.clone()]);
    tokio::select! {
        outcome = fetch => panic!("{outcome:?}"),
        status = requester.status(quitter.peer, |s| s.received_bytes >= SEGMENT_BYTES_MAX) => {
            assert_eq!(status.malformed_count, 0);
        }
    }
    assert!(requester.store.get(&id).unwrap().is_none());
    let requester = requester.restart(vec![]).await;
    let finisher = Hostile::start(blob.clone(), honest).await;
    let hints = vec![finisher.address.clone()];
    patiently(requester.network.fetch(id, length(&blob), hints))
        .await
        .unwrap();
    assert_eq!(requester.store.get(&id).unwrap().unwrap(), blob);
    let asked = finisher.asked.lock().unwrap().clone();
    assert!(
        asked.iter().all(|(start, _)| *start >= SEGMENT_BYTES_MAX),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_that_hangs_up_mid_way_is_replaced() {
    let blob = noise(4, 3 * MEGABYTE);
    let quitter = |answered_count, encoded: Vec<u8>| {
        (answered_count < 1).then(|| [vec![0], encoded].concat())
    };
    let quitter = Hostile::start(blob.clone(), quitter).await;
    let provider = Node::start(1, &[]).await;
    let requester = Node::start(2, &[&provider]).await;
    let id = provider.store.insert(&blob).unwrap();
    let hints = vec![quitter.address.clone()];
    patiently(requester.network.fetch(id, length(&blob), hints))
        .await
        .unwrap();
    assert_eq!(requester.store.get(&id).unwrap().unwrap(), blob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_that_stalls_is_relieved_by_an_idle_one() {
    let blob = noise(4, 2 * MEGABYTE);
    let staller = |_, encoded: Vec<u8>| honest(0, encoded[..encoded.len() / 2].to_vec());
    let staller = Hostile::start(blob.clone(), staller).await;
    let provider = Node::start(1, &[]).await;
    let requester = Node::start(2, &[&provider]).await;
    requester.connected_to(&[provider.peer()]).await;
    let id = provider.store.insert(&blob).unwrap();
    let hints = vec![staller.address.clone()];
    patiently(requester.network.fetch(id, length(&blob), hints))
        .await
        .unwrap();
    assert_eq!(requester.store.get(&id).unwrap().unwrap(), blob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_fetch_says_who_was_asked_and_why() {
    let provider = Node::start(1, &[]).await;
    let requester = Node::start(2, &[&provider]).await;
    requester.connected_to(&[provider.peer()]).await;
    let id = BlobId::of(b"nobody has this");
    let hints = vec!["not a peer".to_owned()];
    let error = patiently(requester.network.fetch(id, 15, hints))
        .await
        .unwrap_err();
    let FetchError::Exhausted { attempts, .. } = &error else {
        panic!("{error}")
    };
    let reason = |name: &str| {
        attempts
            .iter()
            .find(|a| a.peer == name)
            .map(|a| a.error.clone())
    };
    assert_eq!(
        reason(&provider.peer().to_string()),
        Some(AttemptError::Absent)
    );
    assert!(matches!(
        reason("not a peer"),
        Some(AttemptError::Hint { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_size_blames_nobody() {
    let provider = Node::start(1, &[]).await;
    let requester = Node::start(2, &[&provider]).await;
    requester.connected_to(&[provider.peer()]).await;
    let id = provider.store.insert(b"a stone").unwrap();
    let error = patiently(requester.network.fetch(id, 8, vec![]))
        .await
        .unwrap_err();
    let FetchError::Exhausted { attempts, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(attempts[0].error, AttemptError::OtherSize);
    let status = requester.status(provider.peer(), |_| true).await;
    assert_eq!(status.malformed_count, 0);
    patiently(requester.network.fetch(id, 7, vec![]))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_one_transfer() {
    let blob = noise(5, MEGABYTE);
    let provider = Hostile::start(blob.clone(), honest).await;
    let requester = Node::start(1, &[]).await;
    let id = BlobId::of(&blob);
    let fetches = (0..20).map(|_| {
        requester
            .network
            .fetch(id, length(&blob), vec![provider.address.clone()])
    });
    for outcome in patiently(futures::future::join_all(fetches)).await {
        outcome.unwrap();
    }
    assert_eq!(provider.asked.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_appears_although_its_provider_comes_late() {
    let requester = Node::start(1, &[]).await;
    let blob = noise(6, 50_000);
    let id = BlobId::of(&blob);
    let fetch = tokio::spawn({
        let (network, bytes) = (requester.network.clone(), length(&blob));
        async move { network.fetch(id, bytes, vec![]).await }
    });
    let provider = Node::start(2, &[&requester]).await;
    provider.store.insert(&blob).unwrap();
    patiently(fetch).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_blob_request_is_counted_and_its_stream_closed() {
    let node = Node::start(1, &[]).await;
    let mut hostile = Hostile::without_blobs().await;
    hostile.dial(&node.network.listen_addresses()[0]).await;
    node.connected_to(&[hostile.peer]).await;
    let mut stream = hostile
        .control
        .open_stream(node.peer(), blob_protocol())
        .await
        .unwrap();
    stream.write_all(&[0xff; 56]).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    // Whether the end of the stream is clean does not matter; that it says nothing does.
    patiently(stream.read_to_end(&mut answer)).await.ok();
    assert!(answer.is_empty());
    let status = node
        .status(hostile.peer, |status| status.malformed_count == 1)
        .await;
    assert!(status.score < 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_corrupted_on_disk_is_not_served_but_removed() {
    let provider = Node::start(1, &[]).await;
    let blob = noise(8, 100_000);
    let id = provider.store.insert(&blob).unwrap();
    let path = provider.store.path(&id).unwrap().unwrap();
    let mut bytes = blob.clone();
    bytes[50_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let requester = Node::start(2, &[&provider]).await;
    requester.connected_to(&[provider.peer()]).await;
    let error = patiently(requester.network.fetch(id, length(&blob), vec![]))
        .await
        .unwrap_err();
    let FetchError::Exhausted { attempts, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(attempts[0].error, AttemptError::Absent);
    assert!(provider.store.size(&id).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_blobs_arrive_at_many_nodes_at_once() {
    let provider = Node::start(1, &[]).await;
    let mut requesters = Vec::new();
    for seed in 2..6 {
        requesters.push(Node::start(seed, &[&provider]).await);
    }
    let blobs: Vec<_> = (0..30).map(|seed| noise(seed, 70_000)).collect();
    let fetch_all = |node: &Node| {
        let network = node.network.clone();
        let ids: Vec<_> = blobs.iter().map(|blob| BlobId::of(blob)).collect();
        let fetch = move |id| {
            let network = network.clone();
            async move { network.fetch(id, 70_000, vec![]).await }
        };
        futures::future::try_join_all(ids.into_iter().map(fetch))
    };
    for blob in &blobs {
        provider.store.insert(blob).unwrap();
    }
    let fetches = futures::future::try_join_all(requesters.iter().map(fetch_all));
    patiently(fetches).await.unwrap();
    for requester in &requesters {
        assert_eq!(requester.store.list(100).unwrap().len(), blobs.len());
    }
    let status = requesters[0].status(provider.peer(), |_| true).await;
    assert_eq!(status.malformed_count, 0);
}
