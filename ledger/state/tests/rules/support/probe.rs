//! What every transaction of every test costs, in time and in entries of the state: written to the
//! file that `CAIRN_COSTS` names, for `bench-ledger`, which compares it with the gas of its kind.
//! Nothing happens without it.

use ledger_state::{State, check_transaction};
use protocol::transaction::Verified;
use rustix::time::{ClockId, clock_gettime};
use std::{fmt::Write as _, fs::OpenOptions, io::Write as _};

fn now_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Times each of a block's transactions on the state before it.
pub(super) fn note(state: &State, transactions: &[Verified]) {
    let Some(path) = std::env::var_os("CAIRN_COSTS") else {
        return;
    };
    let mut view = state.view();
    let mut lines = String::new();
    for transaction in transactions {
        let (written, from) = (view.writes_count(), now_ns());
        let checked = check_transaction(&mut view, transaction);
        let took = now_ns() - from;
        if checked.is_ok() {
            let body = transaction.body();
            let parts = ledger_state::fee::parts_count(body);
            let entries = view.writes_count() - written;
            writeln!(lines, "{} {parts} {took} {entries}", body.kind()).unwrap();
        }
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(lines.as_bytes()).unwrap();
}
