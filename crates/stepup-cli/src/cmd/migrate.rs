//! `migrate`: the tables of this version.

use crate::Ending;
use crate::cmd::Done;
use crate::site::Place;

pub(crate) async fn run(place: &Place) -> Done {
    let store = place.store(true).await?;
    store.migrate().await?;
    store.close().await;
    println!("the tables are those of this version");
    Ok(Ending::Whole)
}
