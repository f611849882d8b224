//! `cairn checkpoint diff`: where two checkpoints begin to differ.
//!
//! A validator that computed another checkpoint than the others agreed on stands alone with a
//! hash. This says where to look: the first piece of 1 MiB that differs, and the tensors in it.

use crate::{
    pieces::{PIECE_BYTES, Pieces},
    rpc::client::Client,
};
use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use protocol::BlobId;
use serde::Serialize;
use std::{ops::Range, path::PathBuf};

/// What to do with checkpoints.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Name the first piece that differs, and its tensors; status 1 if there is one.
    Diff(Diff),
}

/// Two checkpoints.
#[derive(Debug, Args)]
pub struct Diff {
    /// A file, or the hash of one that `--with` has.
    a: String,
    /// Another.
    b: String,
    /// The node that is asked for what is given by its hash.
    #[arg(long)]
    with: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One side, as far as it is known here.
struct Side {
    pieces: Pieces,
    /// The bytes, of a file.
    file: Option<Vec<u8>>,
}

/// Where two files begin to differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Difference {
    /// Index of the first piece that differs.
    piece: usize,
    /// Pieces of the longer file.
    pieces_count: usize,
    /// Bytes of the piece.
    bytes: Range<u64>,
    /// The first byte that differs, if both files are here.
    byte: Option<u64>,
    /// The tensor of that byte, or all that have a part in the piece.
    tensors: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When a side cannot be read, or the two differ.
pub async fn run(command: Command) -> Result<()> {
    let Command::Diff(Diff { a, b, with, json }) = command;
    let (one, other) = (
        side(&a, with.as_deref()).await?,
        side(&b, with.as_deref()).await?,
    );
    let found = difference(&one, &other);
    if json {
        crate::devnet::screen::print(&serde_json::to_string_pretty(&found)?)?;
    }
    match found {
        None if json => Ok(()),
        None => crate::devnet::screen::print("equal"),
        Some(found) => bail!("{}", describe(&found)),
    }
}

fn describe(difference: &Difference) -> String {
    let Difference {
        piece,
        pieces_count,
        bytes,
        byte,
        tensors,
    } = difference;
    let place = match byte {
        Some(byte) => format!(", at byte {byte}"),
        None => String::new(),
    };
    let tensors = match tensors.as_slice() {
        [] => "no tensor".to_owned(),
        [one] => one.clone(),
        [first, .., last] => format!("{} tensors, {first} to {last}", tensors.len()),
    };
    let (start, end) = (bytes.start, bytes.end);
    format!(
        "checkpoints differ first in piece {piece} of {pieces_count} \
         (bytes {start} to {end}){place}: {tensors}"
    )
}

async fn side(name: &str, node: Option<&str>) -> Result<Side> {
    let path = PathBuf::from(name);
    if path.exists() {
        let file = std::fs::read(&path).with_context(|| format!("reading {name}"))?;
        let pieces = Pieces::of(&file);
        return Ok(Side {
            pieces,
            file: Some(file),
        });
    }
    let id: BlobId = name
        .parse()
        .ok()
        .with_context(|| format!("{name} is neither a file nor the hash of one"))?;
    let node = node.context("a hash needs --with and the URL of a node that has it")?;
    let client = Client::new(vec![node.to_owned()]);
    let pieces: Pieces = client.get(&format!("/v1/pieces/{id}")).await?;
    let found = pieces.id()?;
    ensure!(
        found == id,
        "the node's pieces are of {found}; {id} was asked for"
    );
    Ok(Side { pieces, file: None })
}

fn difference(a: &Side, b: &Side) -> Option<Difference> {
    let piece = a.pieces.first_difference(&b.pieces)?;
    let start = (piece * PIECE_BYTES) as u64;
    let longest = a.pieces.bytes.max(b.pieces.bytes);
    let bytes = start..longest.min(start + PIECE_BYTES as u64);
    let byte = match (&a.file, &b.file) {
        (Some(a), Some(b)) => {
            let pairs = a.iter().zip(b).skip(piece * PIECE_BYTES);
            let equal = pairs.take_while(|(a, b)| a == b).count();
            Some(start + equal as u64)
        }
        _ => None,
    };
    let wanted = byte.map_or(bytes.clone(), |byte| byte..byte + 1);
    let file = a.file.as_ref().or(b.file.as_ref());
    Some(Difference {
        piece,
        pieces_count: a.pieces.hashes.len().max(b.pieces.hashes.len()),
        bytes,
        byte,
        tensors: file.map_or_else(Vec::new, |file| tensors(file, &wanted)),
    })
}

/// Names of the tensors of a safetensors file that have a part in these bytes, in order;
/// `the header` where that has.
fn tensors(file: &[u8], bytes: &Range<u64>) -> Vec<String> {
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Vec::new();
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(..length));
    let header = header.and_then(|header| serde_json::from_slice::<serde_json::Value>(header).ok());
    let Some(serde_json::Value::Object(header)) = header else {
        return Vec::new();
    };
    let data = length.saturating_add(8);
    let mut places: Vec<(Range<u64>, String)> = vec![(0..data, "the header".to_owned())];
    for (name, tensor) in header {
        let offset = |index: usize| tensor.get("data_offsets")?.get(index)?.as_u64();
        if let (Some(start), Some(end)) = (offset(0), offset(1)) {
            places.push((data.saturating_add(start)..data.saturating_add(end), name));
        }
    }
    places.sort_by_key(|(place, _)| place.start);
    let overlaps = |place: &Range<u64>| place.start < bytes.end && bytes.start < place.end;
    let found = places.into_iter().filter(|(place, _)| overlaps(place));
    found.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use engine::{Family, ModelConfig, Parameters, RopeScaling};

    /// 1.6 million parameters.
    fn model() -> Parameters {
        let config = ModelConfig {
            family: Family::Llama,
            vocab_size: 256,
            hidden_size: 128,
            intermediate_size: 1024,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 32,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::Default,
            max_position_embeddings: 64,
            tie_word_embeddings: true,
        };
        Parameters::initialize(&config, [7; 32])
    }

    fn side_of(file: &[u8], is_here: bool) -> Side {
        Side {
            pieces: Pieces::of(file),
            file: is_here.then(|| file.to_vec()),
        }
    }

    #[test]
    fn one_changed_weight_is_named() {
        let model = model();
        let file = model.to_safetensors();
        let equal = difference(&side_of(&file, true), &side_of(&file, false));
        assert_eq!(equal, None);
        let mut changed = file.clone();
        let at = file.len() - 1_500_000;
        changed[at] ^= 1;
        let both = difference(&side_of(&file, true), &side_of(&changed, true)).unwrap();
        assert_eq!((both.piece, both.byte), (at / PIECE_BYTES, Some(at as u64)));
        let [tensor] = both.tensors.as_slice() else {
            panic!("{both:?}");
        };
        let remote = difference(&side_of(&file, true), &side_of(&changed, false)).unwrap();
        assert_eq!((remote.piece, remote.byte), (both.piece, None));
        assert!(
            remote.tensors.contains(tensor) && remote.tensors.len() > 1,
            "{remote:?}"
        );
        let text = describe(&both);
        assert!(
            text.contains(tensor) && text.contains(&format!("at byte {at}")),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_is_no_checkpoint_has_no_tensors() {
        for bytes in [&b""[..], b"1234567", &[255; 40]] {
            assert!(tensors(bytes, &(0..1)).is_empty());
        }
        let found = difference(&side_of(b"one", true), &side_of(b"other", true)).unwrap();
        assert_eq!(
            (found.piece, found.byte, found.tensors),
            (0, Some(1), Vec::new())
        );
    }
}
