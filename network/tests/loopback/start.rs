//! Starting fails with reasons a person can act on.

use crate::harness::{Node, config};
use network::{FolderStore, Network, NetworkConfig, StartError};
use std::sync::Arc;

async fn start_with(change: impl FnOnce(&mut NetworkConfig)) -> Option<StartError> {
    let home = tempfile::tempdir().unwrap();
    let store = Arc::new(FolderStore::open(home.path()).unwrap());
    let mut config = config(1, home.path(), vec![]);
    change(&mut config);
    Network::start(config, store).await.err()
}

#[tokio::test]
async fn port_in_use_is_named() {
    let node = Node::start(2, &[]).await;
    let taken = node.network.listen_addresses()[0]
        .split("/p2p/")
        .next()
        .unwrap()
        .to_owned();
    let error = start_with(|config| config.listen = vec![taken.clone()])
        .await
        .unwrap();
    assert!(matches!(&error, StartError::AddressInUse { address } if *address == taken));
}

#[tokio::test]
async fn wrong_addresses_and_names_are_refused() {
    let error = start_with(|config| config.listen = vec!["127.0.0.1:7070".to_owned()]).await;
    assert!(matches!(error, Some(StartError::Address { .. })));
    let error = start_with(|config| config.bootstrap = vec!["somewhere".to_owned()]).await;
    assert!(matches!(error, Some(StartError::Address { .. })));
    let error = start_with(|config| config.listen = vec!["/ip4/192.0.2.1/tcp/0".to_owned()]).await;
    assert!(matches!(error, Some(StartError::Listen { .. })));
    let error = start_with(|config| config.chain = "a/b".to_owned()).await;
    assert!(matches!(error, Some(StartError::ChainName { .. })));
    let error = start_with(|config| config.home = "/dev/null/home".into()).await;
    assert!(matches!(error, Some(StartError::Home { .. })));
}

#[tokio::test]
async fn dropping_every_handle_frees_the_port() {
    let node = Node::start(2, &[]).await;
    let address = node.network.listen_addresses()[0]
        .split("/p2p/")
        .next()
        .unwrap()
        .to_owned();
    let Node {
        network,
        mut events,
        ..
    } = node;
    drop(network);
    while events.recv().await.is_some() {}
    let error = start_with(|config| config.listen = vec![address]).await;
    assert!(error.is_none(), "{error:?}");
}
