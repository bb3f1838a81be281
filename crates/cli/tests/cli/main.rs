//! The program from outside: arguments in; stdout, stderr, exit codes and files out.

mod adding;
mod failures;
mod getting;
mod keys;
mod serving;
mod support;
