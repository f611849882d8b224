//! The terminal while the live view owns it.

use crate::{
    rpc::overview::Overview,
    terminal::{self, Extra},
};
use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::DefaultTerminal;
use std::{fmt, io, time::Duration};

/// A terminal in its alternate screen; given back when dropped.
pub struct Session {
    terminal: DefaultTerminal,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When there is none to take.
    pub fn open() -> io::Result<Self> {
        ratatui::try_init().map(|terminal| Self { terminal })
    }
    /// Draws the live view.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, overview: &Overview, extra: &Extra) -> io::Result<()> {
        self.terminal
            .draw(|frame| terminal::draw(frame, overview, extra))
            .map(|_| ())
    }
    /// Whether somebody pressed `q`, Escape or Ctrl-C.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn poll_end(&mut self) -> io::Result<bool> {
        let mut wants_end = false;
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                wants_end |= matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
                    || (control && key.code == KeyCode::Char('c'));
            }
        }
        Ok(wants_end)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
