//! One address is enough to find everyone, and nobody is forgotten by a restart.

use crate::harness::{Node, noise, patiently};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joiner_with_one_bootstrap_address_discovers_the_others() {
    let first = Node::start(1, &[]).await;
    let second = Node::start(2, &[&first]).await;
    let third = Node::start(3, &[&first]).await;
    let joiner = Node::start(4, &[&first]).await;
    joiner
        .connected_to(&[first.peer(), second.peer(), third.peer()])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_address_needs_no_peer_id() {
    let first = Node::start(1, &[]).await;
    let address = first.network.listen_addresses()[0].clone();
    let bare = address.split("/p2p/").next().unwrap().to_owned();
    let home = tempfile::tempdir().unwrap();
    let second = Node::start_at(2, vec![bare], home).await.unwrap();
    second.connected_to(&[first.peer()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_node_finds_its_peers_without_bootstrap() {
    let first = Node::start(1, &[]).await;
    let second = Node::start(2, &[&first]).await;
    second.connected_to(&[first.peer()]).await;
    let second = second.restart(vec![]).await;
    second.connected_to(&[first.peer()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_peer_that_comes_late_is_redialled() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", free.local_addr().unwrap().port());
    let home = tempfile::tempdir().unwrap();
    let early = Node::start_at(1, vec![address.clone()], home)
        .await
        .unwrap();
    drop(free);
    let home = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(network::FolderStore::open(home.path()).unwrap());
    let mut config = crate::harness::config(2, home.path(), vec![]);
    config.listen = vec![address];
    let (late, _events) = network::Network::start(config, store).await.unwrap();
    early.connected_to(&[late.local_peer()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_known_only_to_a_third_node_is_found() {
    let hub = Node::start(1, &[]).await;
    let provider = Node::start(2, &[&hub]).await;
    let blob = noise(9, 200_000);
    let id = provider.store.insert(&blob).unwrap();
    provider.network.provide(id).await;
    provider.connected_to(&[hub.peer()]).await;
    let requester = Node::start(3, &[&hub]).await;
    patiently(requester.network.fetch(id, 200_000, vec![]))
        .await
        .unwrap();
    assert_eq!(requester.store.get(&id).unwrap().unwrap(), blob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_another_chain_do_not_stay_connected() {
    let mut first = Node::start(1, &[]).await;
    let home = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(network::FolderStore::open(home.path()).unwrap());
    let mut config = crate::harness::config(2, home.path(), first.network.listen_addresses());
    config.chain = "another".to_owned();
    let (_stranger, _events) = network::Network::start(config, store).await.unwrap();
    first
        .event(|event| {
            matches!(event, network::NetworkEvent::PeerDisconnected { .. }).then_some(())
        })
        .await;
}
