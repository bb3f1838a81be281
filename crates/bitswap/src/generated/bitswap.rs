// Generated from proto/bitswap.proto by `cargo xtask proto`. Do not edit.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]

#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Message {
    /// Never left out, even when empty: older peers fail on its absence.
    #[prost(message, optional, tag = "1")]
    pub wantlist: ::core::option::Option<message::Wantlist>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub blocks: ::prost::alloc::vec::Vec<::prost::bytes::Bytes>,
    #[prost(message, repeated, tag = "3")]
    pub payload: ::prost::alloc::vec::Vec<message::Block>,
    #[prost(message, repeated, tag = "4")]
    pub block_presences: ::prost::alloc::vec::Vec<message::BlockPresence>,
    #[prost(int32, tag = "5")]
    pub pending_bytes: i32,
}
/// Nested message and enum types in `Message`.
pub mod message {
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct Wantlist {
        #[prost(message, repeated, tag = "1")]
        pub entries: ::prost::alloc::vec::Vec<wantlist::Entry>,
        #[prost(bool, tag = "2")]
        pub full: bool,
    }
    /// Nested message and enum types in `Wantlist`.
    pub mod wantlist {
        #[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
        pub struct Entry {
            #[prost(bytes = "bytes", tag = "1")]
            pub block: ::prost::bytes::Bytes,
            #[prost(int32, tag = "2")]
            pub priority: i32,
            #[prost(bool, tag = "3")]
            pub cancel: bool,
            #[prost(enumeration = "WantType", tag = "4")]
            pub want_type: i32,
            #[prost(bool, tag = "5")]
            pub send_dont_have: bool,
        }
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
        #[repr(i32)]
        pub enum WantType {
            Block = 0,
            Have = 1,
        }
        impl WantType {
            /// String value of the enum field names used in the ProtoBuf definition.
            ///
            /// The values are not transformed in any way and thus are considered stable
            /// (if the ProtoBuf definition does not change) and safe for programmatic use.
            pub fn as_str_name(&self) -> &'static str {
                match self {
                    Self::Block => "Block",
                    Self::Have => "Have",
                }
            }
            /// Creates an enum from field names used in the ProtoBuf definition.
            pub fn from_str_name(value: &str) -> ::core::option::Option<Self> {
                match value {
                    "Block" => Some(Self::Block),
                    "Have" => Some(Self::Have),
                    _ => None,
                }
            }
        }
    }
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
    pub struct Block {
        #[prost(bytes = "bytes", tag = "1")]
        pub prefix: ::prost::bytes::Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub data: ::prost::bytes::Bytes,
    }
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
    pub struct BlockPresence {
        #[prost(bytes = "bytes", tag = "1")]
        pub cid: ::prost::bytes::Bytes,
        #[prost(enumeration = "BlockPresenceType", tag = "2")]
        pub r#type: i32,
    }
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum BlockPresenceType {
        Have = 0,
        DontHave = 1,
    }
    impl BlockPresenceType {
        /// String value of the enum field names used in the ProtoBuf definition.
        ///
        /// The values are not transformed in any way and thus are considered stable
        /// (if the ProtoBuf definition does not change) and safe for programmatic use.
        pub fn as_str_name(&self) -> &'static str {
            match self {
                Self::Have => "HAVE",
                Self::DontHave => "DONT_HAVE",
            }
        }
        /// Creates an enum from field names used in the ProtoBuf definition.
        pub fn from_str_name(value: &str) -> ::core::option::Option<Self> {
            match value {
                "HAVE" => Some(Self::Have),
                "DONT_HAVE" => Some(Self::DontHave),
                _ => None,
            }
        }
    }
}
