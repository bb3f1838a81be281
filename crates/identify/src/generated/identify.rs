// Generated from proto/identify.proto by `cargo xtask proto`. Do not edit.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]

#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Identify {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub public_key: ::core::option::Option<::prost::bytes::Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub listen_addrs: ::prost::alloc::vec::Vec<::prost::bytes::Bytes>,
    #[prost(string, repeated, tag = "3")]
    pub protocols: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub observed_addr: ::core::option::Option<::prost::bytes::Bytes>,
    #[prost(string, optional, tag = "5")]
    pub protocol_version: ::core::option::Option<::prost::alloc::string::String>,
    #[prost(string, optional, tag = "6")]
    pub agent_version: ::core::option::Option<::prost::alloc::string::String>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub signed_peer_record: ::core::option::Option<::prost::bytes::Bytes>,
}
