// Generated from proto/envelope.proto by `cargo xtask proto`. Do not edit.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]

#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Envelope {
    #[prost(bytes = "bytes", tag = "1")]
    pub public_key: ::prost::bytes::Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub payload_type: ::prost::bytes::Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: ::prost::bytes::Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub signature: ::prost::bytes::Bytes,
}
