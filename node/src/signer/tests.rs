#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use ledger_consensus::{
    Vote, VoteKind,
    signer::{Answer, Refusal, Request, frame},
};
use protocol::{BlockId, ChainId, Height};
use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    thread,
};
use tempfile::TempDir;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

fn key() -> SigningKey {
    SigningKey::from_seed([2; 32])
}

fn holder(folder: &TempDir) -> Arc<LocalSigner> {
    let path = folder.path().join("signing-history");
    let history = SigningHistory::open(&path, CHAIN, key().address()).unwrap();
    Arc::new(LocalSigner::new(CHAIN, key(), key(), Some(history)))
}

/// A signer that answers at a socket; its history in the same folder.
fn serving() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("signer.sock");
    let (listener, signer) = (serve::listen(&path).unwrap(), holder(&folder));
    thread::spawn(move || serve::accept(&listener, &signer));
    (folder, path)
}

fn vote(block: u8) -> Request {
    Request::Vote(Vote {
        kind: VoteKind::Prevote,
        height: Height::new(5),
        round: 0,
        block_id: Some(BlockId::from_bytes([block; 32])),
    })
}

#[test]
fn a_validator_gets_signatures_and_no_second_one_that_contradicts_even_from_another_process() {
    let (_folder, path) = serving();
    let first = RemoteSigner::new(path.clone());
    let signed = first.ask(&vote(1)).unwrap();
    assert!(matches!(signed, Answer::Signature(_)), "{signed:?}");
    assert_eq!(
        first.ask(&vote(1)).unwrap(),
        signed,
        "the same is signed again"
    );

    // Another validator is refused whatever it asks, while the first is connected.
    let second = RemoteSigner::new(path);
    for request in [Request::Status, vote(1), vote(2)] {
        let answer = second.ask(&request).unwrap();
        assert!(
            matches!(answer, Answer::Refused(Refusal::Busy, _)),
            "{answer:?}"
        );
    }
    assert_eq!(second.refused_count(), 3);
    // When the first is gone it is served, and the history still stands between the two.
    drop(first);
    let answer = loop {
        match second.ask(&vote(2)).unwrap() {
            Answer::Refused(Refusal::Busy, _) => thread::yield_now(),
            answer => break answer,
        }
    };
    assert!(
        matches!(answer, Answer::Refused(Refusal::Contradiction, _)),
        "{answer:?}"
    );
    assert_eq!(second.ask(&vote(1)).unwrap(), signed);
}

#[test]
fn a_validator_that_lost_its_place_has_no_signer_until_it_is_free() {
    let (_folder, path) = serving();
    let first = RemoteSigner::new(path.clone());
    let signed = first.ask(&vote(1)).unwrap();
    first.hang_up();
    let other = RemoteSigner::new(path);
    while let Answer::Refused(Refusal::Busy, _) = other.ask(&Request::Status).unwrap() {
        thread::yield_now();
    }
    let away = first.ask(&vote(1)).unwrap_err();
    assert!(
        away.to_string()
            .contains("another validator has this signer"),
        "{away}"
    );
    assert!(first.is_away());
    drop(other);
    let again = loop {
        if let Ok(answer) = first.ask(&vote(1)) {
            break answer;
        }
        thread::yield_now();
    };
    assert_eq!(again, signed);
}

#[test]
fn a_signer_that_goes_away_is_noticed_and_found_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("signer.sock");
    let remote = RemoteSigner::new(path.clone());
    let away = remote.ask(&Request::Status).unwrap_err();
    assert!(matches!(away, SignerError::Away { .. }), "{away}");
    assert!(remote.is_away());

    // One that answers once and is gone.
    let listener = serve::listen(&path).unwrap();
    let signer = holder(&folder);
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request: Request = frame::read(&mut stream).unwrap().unwrap();
        frame::write(&mut stream, &signer.answer(&request)).unwrap();
    });
    let signed = remote.ask(&vote(1)).unwrap();
    assert!(!remote.is_away());
    answering.join().unwrap();
    assert!(remote.ask(&vote(1)).is_err());
    assert!(remote.is_away());

    // It is started again, over the socket that the first one left.
    let (listener, signer) = (serve::listen(&path).unwrap(), holder(&folder));
    thread::spawn(move || serve::accept(&listener, &signer));
    assert_eq!(remote.ask(&vote(1)).unwrap(), signed);
    assert!(!remote.is_away());
}

#[test]
fn a_signer_that_hangs_is_away_until_it_answers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("signer.sock");
    let remote = RemoteSigner::new(path.clone());
    assert!(remote.ask(&Request::Status).is_err(), "nobody is there");
    // Connections are taken, and nothing is said.
    let listener = serve::listen(&path).unwrap();
    for _ in 0..2 {
        let away = remote.ask(&vote(1)).unwrap_err();
        assert!(matches!(away, SignerError::Away { .. }), "{away}");
        assert!(remote.is_away());
    }
    let signer = holder(&folder);
    thread::spawn(move || serve::accept(&listener, &signer));
    let signed = loop {
        if let Ok(answer @ Answer::Signature(_)) = remote.ask(&vote(1)) {
            break answer;
        }
        thread::yield_now();
    };
    assert!(!remote.is_away());
    assert_eq!(remote.ask(&vote(1)).unwrap(), signed);
}

/// One that answers once and then keeps its answers back has had its time with one question.
#[test]
fn a_signer_that_hangs_in_the_middle_is_not_asked_the_same_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("signer.sock");
    let (listener, signer) = (serve::listen(&path).unwrap(), holder(&folder));
    let hanging = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request: Request = frame::read(&mut stream).unwrap().unwrap();
        frame::write(&mut stream, &signer.answer(&request)).unwrap();
        // Everything that is asked until the validator gives up.
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).unwrap();
        listener.set_nonblocking(true).unwrap();
        (asked, listener.accept().is_err())
    });
    let remote = RemoteSigner::new(path);
    assert!(matches!(
        remote.ask(&vote(1)).unwrap(),
        Answer::Signature(_)
    ));
    assert_eq!(remote.away_for(), None);
    let away = remote.ask(&vote(1)).unwrap_err();
    assert!(matches!(away, SignerError::Away { .. }), "{away}");
    assert!(remote.is_away() && remote.away_for().is_some());
    let (asked, nobody_came) = hanging.join().unwrap();
    assert!(!asked.is_empty() && nobody_came);
}

#[test]
fn a_socket_that_others_may_use_is_refused() {
    let (folder, path) = serving();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    for mode in [0o660, 0o606, 0o666, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = RemoteSigner::new(path.clone())
            .ask(&Request::Status)
            .unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("has mode {mode:o}")), "{said}");
        let error = serve::listen(&path).unwrap_err();
        assert!(error.to_string().contains("has mode"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let error = serve::listen(&path).unwrap_err();
    assert!(
        error.to_string().contains("another signer answers"),
        "{error}"
    );

    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = RemoteSigner::new(file).ask(&Request::Status).unwrap_err();
    assert!(error.to_string().contains("is not a socket"), "{error}");
}

#[test]
fn rubbish_ends_its_own_connection_and_nothing_else() {
    let (_folder, path) = serving();
    for rubbish in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 64],
        &[1, 0, 0, 0, 7],
        &[5, 0, 0, 0, 1, 0, 0, 0, 200],
    ] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(rubbish).unwrap();
        let mut said = Vec::new();
        // The other end may close before it has read everything.
        drop(stream.read_to_end(&mut said));
        assert!(said.is_empty(), "{said:?}");
    }
    let remote = RemoteSigner::new(path);
    assert!(matches!(
        remote.ask(&Request::Status).unwrap(),
        Answer::Status(_)
    ));
}

#[test]
fn what_a_configuration_may_say() {
    let named = |signer: &str| {
        configured(&Config {
            signer: signer.to_owned(),
            ..Config::default()
        })
    };
    assert_eq!(named("").unwrap(), None);
    assert_eq!(
        named("unix:/run/s.sock").unwrap(),
        Some("/run/s.sock".into())
    );
    for bad in ["/run/s.sock", "tcp:1.2.3.4:5", "unix:s.sock"] {
        assert!(named(bad).is_err(), "{bad}");
    }
}
