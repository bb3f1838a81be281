// Generated from proto/peer_record.proto by `cargo xtask proto`. Do not edit.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]

#[derive(Clone, PartialEq, ::prost::Message)]
pub struct PeerRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub peer_id: ::prost::bytes::Bytes,
    #[prost(uint64, tag = "2")]
    pub seq: u64,
    #[prost(message, repeated, tag = "3")]
    pub addresses: ::prost::alloc::vec::Vec<peer_record::AddressInfo>,
}
/// Nested message and enum types in `PeerRecord`.
pub mod peer_record {
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
    pub struct AddressInfo {
        #[prost(bytes = "bytes", tag = "1")]
        pub multiaddr: ::prost::bytes::Bytes,
    }
}
