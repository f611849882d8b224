//! Steps: opening, deadlines, absence, dealing, closing, and the way from the first to the last.

mod absence;
mod availability;
mod progress;
mod quota;
mod withholding;
