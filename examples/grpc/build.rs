//! Client and server of `proto/reports.proto`, written down by hand: so nothing has to be installed. With `protoc` at hand,
//! `tonic_prost_build::compile_protos("proto/reports.proto")` takes the place of this file and of the messages in
//! `src/reports.rs`; the guards are the same.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let unary = |name: &str, route: &str, input: &str| method(name, route, input).build();
    let reports = Service::builder()
        .name("Reports")
        .package("acme.reports.v1")
        .method(unary("read", "Read", "ReadRequest"))
        .method(unary("order", "Order", "OrderRequest"))
        .method(
            method("follow", "Follow", "ReadRequest")
                .server_streaming()
                .build(),
        )
        .build();
    Builder::new().compile(&[reports]);
}

fn method(name: &str, route: &str, input: &str) -> tonic_build::manual::MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::reports::{input}"))
        .output_type("crate::reports::Report")
        .codec_path("tonic_prost::ProstCodec")
}
