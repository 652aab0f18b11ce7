//! The messages of `proto/reports.proto`, and what `build.rs` makes of its service.

/// Which report.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Which report, and how often.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OrderRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How many copies.
    #[prost(uint32, tag = "2")]
    pub copies: u32,
}

/// A report.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Report {
    /// What it says.
    #[prost(string, tag = "1")]
    pub text: String,
}

pub use generated::{reports_client::ReportsClient, reports_server::Reports, reports_server::ReportsServer};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "it is generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/acme.reports.v1.Reports.rs"));
}
