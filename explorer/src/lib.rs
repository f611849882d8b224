//! Shows: the page, one HTML file without external assets.
