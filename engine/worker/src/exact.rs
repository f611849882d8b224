//! The exact engine as a worker: the protocol's reference, against which a client can be tried.
//!
//! Told to keep so many bits of every weight's mantissa, it is another engine, as a miner runs that
//! saves memory: with 7, which are bf16, its rollouts differ from the exact ones now and then; with
//! 1 or 2 they are another model's.

use engine::{Parameters, Threads, prefill};
use std::io::{self, Read, Write};

fn invalid(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// The nearest number with so many bits of mantissa.
fn rounded(value: f32, kept: u32) -> f32 {
    let Some(dropped) = 23_u32.checked_sub(kept).filter(|dropped| *dropped > 0) else {
        return value;
    };
    let half = 1 << (dropped - 1);
    f32::from_bits(value.to_bits().wrapping_add(half) >> dropped << dropped)
}

/// Answers requests on standard input until it ends, with so many bits of every weight's mantissa,
/// or with all.
///
/// # Errors
/// Requests that make no sense, and pipes that break.
pub fn serve(kept: Option<u32>) -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut model = None;
    let mut rows: Vec<Vec<u32>> = Vec::new();
    let mut head = [0; 5];
    while input.read_exact(&mut head).is_ok() {
        let [a, b, c, d, kind] = head;
        let mut body = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
        input.read_exact(&mut body)?;
        let answer = if kind == 0 {
            let path = String::from_utf8(body).map_err(invalid)?;
            let bytes = std::fs::read(path)?;
            let mut loaded = Parameters::from_safetensors(&bytes).map_err(invalid)?;
            if let Some(kept) = kept {
                for value in loaded.as_mut_slice() {
                    *value = rounded(*value, kept);
                }
            }
            model = Some(loaded);
            match kept {
                Some(kept) => format!("exact engine, weights of {kept} bits").into_bytes(),
                None => b"exact engine".to_vec(),
            }
        } else {
            if kind == 1 {
                rows.clear();
            }
            let model = model
                .as_ref()
                .ok_or_else(|| invalid("no model was loaded"))?;
            pass(model, &mut rows, &body)?
        };
        let length = u32::try_from(answer.len()).map_err(invalid)?;
        output.write_all(&length.to_le_bytes())?;
        output.write_all(&answer)?;
        output.flush()?;
    }
    Ok(())
}

/// Feeds the tokens of a request to their rows, and gives the last logits of each and the hidden
/// states of what was fed.
fn pass(model: &Parameters, rows: &mut Vec<Vec<u32>>, body: &[u8]) -> io::Result<Vec<u8>> {
    let words = body.as_chunks::<4>().0.iter();
    let words: Vec<u32> = words.map(|word| u32::from_le_bytes(*word)).collect();
    let [rows_count, columns, tokens @ ..] = words.as_slice() else {
        return Err(invalid("a request without a shape"));
    };
    rows.resize(*rows_count as usize, Vec::new());
    let columns = (*columns).max(1) as usize;
    for (row, fed) in rows.iter_mut().zip(tokens.chunks_exact(columns)) {
        row.extend_from_slice(fed);
    }
    let sequences: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let passes = prefill(model, &sequences, &Threads::new(1)).map_err(invalid)?;
    let (width, vocabulary) = (model.config().hidden_size, model.config().vocab_size);
    let last = |values: &[f32], count: usize| values[values.len() - count..].to_vec();
    let logits = passes
        .iter()
        .flat_map(|pass| last(&pass.logits, vocabulary));
    let hidden = passes
        .iter()
        .flat_map(|pass| last(&pass.hidden, columns * width));
    Ok(logits.chain(hidden).flat_map(f32::to_le_bytes).collect())
}
