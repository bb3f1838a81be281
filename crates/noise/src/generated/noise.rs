// Generated from proto/noise.proto by `cargo xtask proto`. Do not edit.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]

#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct NoiseExtensions {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub webtransport_certhashes: ::prost::alloc::vec::Vec<::prost::bytes::Bytes>,
    #[prost(string, repeated, tag = "2")]
    pub stream_muxers: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct NoiseHandshakePayload {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub identity_key: ::core::option::Option<::prost::bytes::Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub identity_sig: ::core::option::Option<::prost::bytes::Bytes>,
    #[prost(message, optional, tag = "4")]
    pub extensions: ::core::option::Option<NoiseExtensions>,
}
