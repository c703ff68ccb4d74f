//! Syntax tree to executable program, one pass a file.
