//! Order: the BFT engine behind a narrow seam.
