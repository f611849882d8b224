//! §8: sparse updates, and what they lose.

use super::exchange::explicit;
use super::values::{Noise, bytes_result, noise, result, row, written};
use crate::trainer::{Feedback, SparseUpdate};
use serde_json::{Value, json};

pub(super) fn rows() -> Vec<Value> {
    let mut rows = sent();
    rows.extend(values_without_encoding());
    rows.extend(refused_bytes());
    rows
}

/// What is sent of an update and of what was lost before, and what is lost then.
fn sent() -> Vec<Value> {
    let zeros = |count: usize| explicit(&vec![0.0; count]);
    let cases = [
        ("nothing", explicit(&[]), explicit(&[]), 0.95),
        (
            "zeros of both signs",
            explicit(&[0.0, -0.0]),
            zeros(2),
            0.95,
        ),
        (
            "the first of equals",
            explicit(&[0.5, -0.5, 0.5]),
            zeros(3),
            1.0,
        ),
        ("a tiny value", explicit(&[1e-20]), zeros(1), 1.0),
        ("the limit", explicit(&[2.0, -2.0]), zeros(2), 1.0),
        (
            "what was lost alone",
            zeros(2),
            explicit(&[0.25, -1.0]),
            0.5,
        ),
        ("65 values", noise("sparse 65", 65, 0.125), zeros(65), 0.95),
        (
            "a chunk",
            noise("sparse 4096", 4096, 0.001_953_125),
            noise("lost 4096", 4096, 0.001_953_125),
            0.95,
        ),
        (
            "a chunk and one",
            noise("sparse 4097", 4097, 0.062_5),
            noise("lost 4097", 4097, 0.125),
            1.0,
        ),
        (
            "many chunks",
            noise("sparse 20000", 20_000, 0.000_976_562_5),
            noise("lost 20000", 20_000, 0.003_906_25),
            0.95,
        ),
    ];
    let row = |(name, update, lost, decay): (&str, Noise, Noise, f32)| {
        let mut feedback = Feedback::of(lost.values);
        let sent = feedback.compress(&update.values, decay).unwrap();
        let bytes = sent.encode();
        assert_eq!(
            SparseUpdate::decode(&bytes, update.values.len()).as_ref(),
            Ok(&sent)
        );
        let input = json!({
            "values": update.name,
            "lost": lost.name,
            "decay": written(&[decay]),
        });
        let expect = json!({
            "bytes": bytes_result(&bytes),
            "values": result(&sent.decompress()),
            "lost": result(feedback.lost()),
        });
        row(&format!("sparse: {name}"), input, expect)
    };
    cases.into_iter().map(row).collect()
}

fn values_without_encoding() -> Vec<Value> {
    let cases: [(&str, &[f32]); 4] = [
        ("NaN", &[0.0, f32::NAN]),
        ("infinity", &[f32::NEG_INFINITY]),
        ("too large", &[-2.000_000_2]),
        ("the limit", &[2.0]),
    ];
    let row = |(name, values): (&str, &[f32])| {
        let accepted = SparseUpdate::compress(values).is_ok();
        row(
            &format!("sparse encode: {name}"),
            json!({"values": written(values)}),
            json!({"accepted": accepted}),
        )
    };
    cases.into_iter().map(row).collect()
}

/// The number sent, the scale as four bytes, then bits.
fn refused_bytes() -> Vec<Value> {
    let cases: [(&str, usize, &str); 16] = [
        ("no chunk", 0, ""),
        ("bytes without a chunk", 0, "00"),
        ("an empty chunk", 1, "000000000000000000000000000000"),
        ("a byte too few", 1, "0000000000000000000000000000"),
        ("a byte too many", 1, "00000000000000000000000000000000"),
        (
            "a chunk that is not filled up",
            1,
            "00000000000000000000000000",
        ),
        (
            "an empty chunk with a scale",
            1,
            "000100000000000000000000000000",
        ),
        (
            "an empty chunk with an index",
            1,
            "000000000001000000000000000000",
        ),
        ("one value", 1, "010100000001000000000000000000"),
        ("one value and scale 0", 1, "010000000001000000000000000000"),
        (
            "one value and no index",
            1,
            "010100000000000000000000000000",
        ),
        (
            "an index beyond the chunk",
            1,
            "010100000001000000000000000200",
        ),
        (
            "two values where one may be",
            1,
            "020100000003000000000000000000",
        ),
        (
            "two values of one index",
            65,
            "02010000000300000000000000000000",
        ),
        (
            "padding that is not zero",
            1,
            "010100000001000000000000000002",
        ),
        (
            "filled up with a one",
            65,
            "01010000000100000000000000000001",
        ),
    ];
    let row = |(name, count, hexadecimal): (&str, usize, &str)| {
        let bytes: Vec<u8> = (0..hexadecimal.len() / 2)
            .map(|index| u8::from_str_radix(&hexadecimal[2 * index..][..2], 16).unwrap())
            .collect();
        let accepted = SparseUpdate::decode(&bytes, count).is_ok();
        row(
            &format!("sparse decode: {name}"),
            json!({"bytes": hexadecimal, "count": count}),
            json!({"accepted": accepted}),
        )
    };
    cases.into_iter().map(row).collect()
}
