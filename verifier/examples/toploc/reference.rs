//! The reference library, in a Python process.

use crate::{Result, chunks::Chunks, forgery::Forgery};
use protocol::proof::toploc::Proof;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGES: [&str; 3] = ["toploc==0.1.6", "torch==2.6.0", "numpy"];

pub(crate) struct Reference {
    python: PathBuf,
    folder: PathBuf,
}

/// The reference's times.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) build_ms: f64,
    pub(crate) verify_ms: f64,
}

/// What the reference measures of one proof.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) exponent_mismatches: u32,
    pub(crate) mantissa_mean: f64,
    pub(crate) mantissa_median: f64,
}

impl Measured {
    /// The rule of the paper's validator.
    pub(crate) fn is_accepted(self) -> bool {
        self.exponent_mismatches <= 38 && self.mantissa_mean <= 10.0 && self.mantissa_median <= 8.0
    }
}

/// About one set of chunks.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    proofs: Vec<String>,
    measured: BTreeMap<String, Vec<(u32, f64, f64)>>,
}

impl Answer {
    pub(crate) fn proof(&self, index: usize) -> Result<Proof> {
        Ok(Proof::from_base64(
            self.proofs.get(index).ok_or("a proof is missing")?,
        )?)
    }

    pub(crate) fn measured(&self, proofs: &str, index: usize) -> Result<Measured> {
        let of_set = self.measured.get(proofs).and_then(|all| all.get(index));
        let &(exponent_mismatches, mantissa_mean, mantissa_median) =
            of_set.ok_or("a measurement is missing")?;
        Ok(Measured {
            exponent_mismatches,
            mantissa_mean,
            mantissa_median,
        })
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        return Err(format!("{command:?} ended with {status}").into());
    }
    Ok(())
}

impl Reference {
    pub(crate) fn open(python: Option<PathBuf>) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let folder = Path::new(&target).join("toploc-reference");
        fs::create_dir_all(&folder)?;
        let python = match python {
            Some(python) => python,
            None => install(&folder.join("venv"))?,
        };
        Ok(Self { python, folder })
    }

    /// Times for one set, whose only chunk is cut by 32 rows.
    pub(crate) fn speed(&self, chunks: &Chunks) -> Result<Times> {
        #[derive(Deserialize)]
        struct Seconds {
            build: f64,
            verify: f64,
        }
        let Seconds { build, verify } = self.ask(chunks, &[])?;
        Ok(Times {
            build_ms: build * 1e3,
            verify_ms: verify * 1e3,
        })
    }

    /// Its own proofs, and what it measures of honest and forged ones.
    pub(crate) fn judge(&self, chunks: &Chunks) -> Result<Answer> {
        let mut proofs = vec![("honest", chunks.proofs()?)];
        for forgery in Forgery::ALL {
            proofs.push((forgery.as_str(), forgery.proofs(chunks)?));
        }
        self.ask(chunks, &proofs)
    }

    fn ask<A: for<'de> Deserialize<'de>>(
        &self,
        chunks: &Chunks,
        proofs: &[(&str, Vec<Vec<u8>>)],
    ) -> Result<A> {
        let name = chunks.name();
        let raw: Vec<u8> = chunks
            .values()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        fs::write(self.folder.join(format!("{name}.bf16")), raw)?;
        for (kind, proofs) in proofs {
            let mut text = String::new();
            for proof in proofs {
                text += &Proof::from_bytes(proof)?.to_base64();
                text.push('\n');
            }
            fs::write(self.folder.join(format!("{name}.{kind}.txt")), text)?;
        }
        let kinds: Vec<_> = proofs.iter().map(|(kind, _)| kind).collect();
        let request = serde_json::json!([{
            "name": name,
            "hidden": chunks.hidden(),
            "chunks": chunks.count(),
            "proofs": kinds,
        }]);
        fs::write(self.folder.join("request.json"), request.to_string())?;
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracles/toploc/reference.py");
        run(Command::new(&self.python)
            .args(["-W", "ignore"])
            .arg(script)
            .arg(&self.folder))?;
        let answer = fs::read(self.folder.join("answer.json"))?;
        let mut answers: BTreeMap<String, A> = serde_json::from_slice(&answer)?;
        Ok(answers.remove(name).ok_or("the answer is of another set")?)
    }
}

fn install(venv: &Path) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    if !python.exists() {
        eprintln!("making a Python environment in {}", venv.display());
        run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "-q"])
            .args(PACKAGES))?;
    }
    Ok(python)
}
