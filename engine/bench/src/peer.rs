//! The peer's Python environment: made once under the target folder, said aloud.
//!
//! The wheel of `torch` for x86-64 Linux asks for some 3 GB of NVIDIA packages. A processor needs
//! none of them, so the wheel is installed alone (0.5 GB) with stand-ins for the libraries it names
//! (`stand_ins.py`); where that does not work, with everything it asks for.

use crate::workload::{Measured, answer};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TORCH: &str = "torch==2.15.0";
/// What the wheel imports on the way.
const PURE_PYTHON: &[&str] = &[
    "typing_extensions",
    "sympy",
    "networkx",
    "jinja2",
    "fsspec",
    "filelock",
];
const PEER: &str = include_str!("../peer.py");
const STAND_INS: &str = include_str!("../stand_ins.py");

/// A Python that can run the peer.
pub(crate) struct Peer {
    folder: PathBuf,
    description: String,
}

impl Peer {
    /// Makes the environment, or says why there is none.
    pub(crate) fn prepare() -> Option<Self> {
        match Self::try_prepare() {
            Ok(peer) => Some(peer),
            Err(error) => {
                eprintln!("no peer: {error:#}");
                eprintln!("measuring our own engine alone");
                None
            }
        }
    }

    fn try_prepare() -> Result<Self> {
        let program = std::env::current_exe().context("the path of this program")?;
        let target = program.ancestors().nth(2).context("the target folder")?;
        let mut peer = Self {
            folder: target.join("bench-engine"),
            description: String::new(),
        };
        std::fs::create_dir_all(&peer.folder)
            .with_context(|| format!("making {}", peer.folder.display()))?;
        std::fs::write(peer.folder.join("peer.py"), PEER)?;
        std::fs::write(peer.folder.join("stand_ins.py"), STAND_INS)?;
        if peer.import().is_err() {
            peer.install()?;
        }
        peer.description = peer.import()?;
        eprintln!("peer: {}", peer.description);
        Ok(peer)
    }

    /// What the peer is: version and instruction set.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// One measurement in a process of its own.
    pub(crate) fn measure(&self, kind: &str, threads: usize, seconds: f64) -> Result<Measured> {
        let mut command = self.python();
        command.arg(self.folder.join("peer.py"));
        command.args([kind, &threads.to_string(), &seconds.to_string()]);
        answer(&mut command)
    }

    fn python(&self) -> Command {
        let mut command = Command::new(self.folder.join("venv/bin/python"));
        command.args(["-W", "ignore"]);
        command.env("LD_LIBRARY_PATH", self.folder.join("stand-ins"));
        command
    }

    fn import(&self) -> Result<String> {
        let program = "import torch; torch.ones(2) @ torch.ones(2); \
                       print('PyTorch', torch.__version__, torch.backends.cpu.get_cpu_capability())";
        let mut command = self.python();
        let output = command
            .args(["-c", program])
            .output()
            .context("starting the peer's Python")?;
        if !output.status.success() {
            bail!("PyTorch does not start: {}", last_line(&output.stderr));
        }
        Ok(last_line(&output.stdout))
    }

    fn install(&self) -> Result<()> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let venv = self.folder.join("venv");
        let folder = self.folder.display();
        eprintln!("making a Python environment for the peer in {folder}: {TORCH}, about 0.6 GB");
        run(Command::new(python).args(["-m", "venv"]).arg(&venv))?;
        let pip = |arguments: &[&str]| {
            let mut command = Command::new(venv.join("bin/python"));
            command.args(["-m", "pip", "install", "--disable-pip-version-check", "-q"]);
            run(command.args(arguments))
        };
        pip(PURE_PYTHON)?;
        pip(&["--no-deps", TORCH])?;
        if self.import().is_ok() {
            return Ok(());
        }
        eprintln!("PyTorch asks for CUDA libraries; putting stand-ins in their place");
        if let Err(error) = self.stand_in(&venv).and_then(|()| self.import()) {
            eprintln!("{error:#}; installing everything PyTorch asks for, about 3 GB");
            let stand_ins = self.folder.join("stand-ins");
            std::fs::remove_dir_all(&stand_ins).context("removing the stand-ins")?;
            pip(&[TORCH])?;
        }
        Ok(())
    }

    fn stand_in(&self, venv: &Path) -> Result<()> {
        let find =
            "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
        let python = venv.join("bin/python");
        let output = Command::new(&python).args(["-c", find]).output()?;
        let libraries = Path::new(&last_line(&output.stdout)).join("lib");
        let script = self.folder.join("stand_ins.py");
        let mut command = Command::new(python);
        run(command
            .arg(script)
            .arg(libraries)
            .arg(self.folder.join("stand-ins")))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().last().unwrap_or_default().to_owned()
}
