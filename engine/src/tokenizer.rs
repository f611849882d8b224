//! Text to tokens and back, as the model's `tokenizer.json` says.
//!
//! Not part of consensus: the network exchanges tokens, never text. So this module is behind the
//! feature `tokenizer`, and its results are those of the Hugging Face library.
//!
//! Chat models expect their prompt in the form they were trained on. A template is a program in
//! another language; the one form that is written here, without running it, is `ChatML`, which
//! `SmolLM2` and Qwen use:
//!
//! ```text
//! <|im_start|>system\n…<|im_end|>\n<|im_start|>user\n…<|im_end|>\n<|im_start|>assistant\n
//! ```

use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Opens a message of `ChatML`.
const START: &str = "<|im_start|>";
/// Closes a message of `ChatML`.
const END: &str = "<|im_end|>";

/// Why text cannot become tokens, or tokens text.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file that cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file that cannot be understood.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The library refuses.
    #[error("{action} failed: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the library says.
        reason: String,
    },
}

/// A tokenizer with what its directory says about chats.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    eos: Option<u32>,
    chat: Option<Chat>,
}

/// A `ChatML` template.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chat {
    /// The system message where the user gives none.
    system: Option<String>,
}

/// The fields of `tokenizer_config.json` that are read.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    eos_token: Option<Value>,
    #[serde(default)]
    chat_template: Option<Value>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a directory, and `tokenizer_config.json` and
    /// `chat_template.jinja` if they are there.
    ///
    /// # Errors
    /// One line with the file and what is wrong.
    pub fn from_directory(directory: &Path) -> Result<Self, TokenizerError> {
        let path = directory.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|error| TokenizerError::Io {
            path: path.clone(),
            error,
        })?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes);
        let inner = inner.map_err(|error| TokenizerError::File {
            path,
            reason: error.to_string(),
        })?;
        let settings = settings(&directory.join("tokenizer_config.json"))?;
        let template = std::fs::read_to_string(directory.join("chat_template.jinja")).ok();
        let stated = settings.chat_template.as_ref().and_then(Value::as_str);
        let template = template.or_else(|| stated.map(str::to_owned));
        let chat = template.as_deref().and_then(Chat::of);
        let eos = match (&chat, &settings.eos_token) {
            (Some(_), _) => Some(END),
            (None, Some(Value::String(token))) => Some(token.as_str()),
            // A token may be written as an object with its content.
            (None, Some(token)) => token.get("content").and_then(Value::as_str),
            (None, None) => None,
        };
        let eos = eos.and_then(|token| inner.token_to_id(token));
        Ok(Self { inner, eos, chat })
    }

    /// The tokens of a text, special tokens written out in it included.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoded = self.inner.encode(text, false);
        let encoded = encoded.map_err(|error| TokenizerError::Refused {
            action: "encoding",
            reason: error.to_string(),
        })?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The text of tokens, without the special ones.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        let decoded = self.inner.decode(tokens, true);
        decoded.map_err(|error| TokenizerError::Refused {
            action: "decoding",
            reason: error.to_string(),
        })
    }

    /// The token that ends an answer.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The prompt of a chat with one message of the user; nothing if the model's template is not
    /// `ChatML`.
    #[must_use]
    pub fn chat(&self, message: &str) -> Option<String> {
        let Chat { system } = self.chat.as_ref()?;
        let mut prompt = String::new();
        if let Some(system) = system {
            prompt.push_str(&format!("{START}system\n{system}{END}\n"));
        }
        prompt.push_str(&format!("{START}user\n{message}{END}\n{START}assistant\n"));
        Some(prompt)
    }
}

fn settings(path: &Path) -> Result<Settings, TokenizerError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Settings::default());
        }
        Err(error) => {
            let path = path.to_owned();
            return Err(TokenizerError::Io { path, error });
        }
    };
    serde_json::from_str(&text).map_err(|error| TokenizerError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

impl Chat {
    /// Recognises `ChatML` in a template, with the system message that it states.
    fn of(template: &str) -> Option<Self> {
        if !template.contains(START) || !template.contains(END) {
            return None;
        }
        // Templates write line ends as they are or escaped.
        let template = template.replace("\\n", "\n");
        let (_, after) = template.split_once(&format!("{START}system\n"))?;
        let (system, _) = after.split_once(END)?;
        let literal = !system.contains(['\'', '"', '{']);
        Some(Self {
            system: literal.then(|| system.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests;
