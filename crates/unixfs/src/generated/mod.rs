//! Code generated from the `.proto` files of this repository.

pub(crate) mod unixfs;
