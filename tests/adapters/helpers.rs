//! What applications use of the testkit, with each framework's own requests for tests: a request of somebody in one line.

use stepup_testkit::app::TestApp;

#[tokio::test]
async fn a_request_of_actix_webs_own_is_of_somebody() {
    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, web};
    use stepup::actix::{Require2fa, Session};

    async fn secret(_: Session<Require2fa>) -> &'static str {
        "in"
    }

    let kit = TestApp::new().await;
    let app = App::new()
        .route("/secret", web::get().to(secret))
        .route("/secret", web::post().to(secret))
        .configure(stepup::actix::configure(&kit.stepup))
        .wrap(stepup::actix::middleware(&kit.stepup));
    let app = init_service(app).await;
    let ask = async |request: TestRequest| {
        call_service(&app, request.uri("/secret").to_request())
            .await
            .status()
    };
    let add = |request: TestRequest, header: (String, String)| request.insert_header(header);

    let complete = kit.request_as("ann").complete_on(TestRequest::get(), add).await;
    assert_eq!(ask(complete).await, StatusCode::OK);
    // What changes something is taken too: it comes from a page of the site.
    let complete = kit.request_as("ann").complete_on(TestRequest::post(), add).await;
    assert_eq!(ask(complete).await, StatusCode::OK);
    let by_header = kit.request_as("ann").by_header();
    assert_eq!(
        ask(by_header.complete_on(TestRequest::get(), add).await).await,
        StatusCode::OK
    );
    let half = kit.request_as("bob").half_on(TestRequest::get(), add).await;
    assert_eq!(ask(half).await, StatusCode::FORBIDDEN);
    assert_eq!(ask(TestRequest::get()).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_request_of_rockets_own_is_of_somebody() {
    use rocket::http::{Header, Status};
    use rocket::local::asynchronous::{Client, LocalRequest};
    use rocket::{get, post, routes};
    use stepup::rocket::{Require2fa, Session};

    #[get("/secret")]
    fn secret(_session: Session<Require2fa>) -> &'static str {
        "in"
    }

    #[post("/secret")]
    fn comment(_session: Session<Require2fa>) -> &'static str {
        "in"
    }

    let kit = TestApp::new().await;
    let app = rocket::build()
        .mount("/", routes![secret, comment])
        .attach(stepup::rocket::fairing(&kit.stepup));
    let client = Client::untracked(app).await.unwrap();
    fn add<'c>(request: LocalRequest<'c>, (name, value): (String, String)) -> LocalRequest<'c> {
        request.header(Header::new(name, value))
    }

    let complete = kit
        .request_as("ann")
        .complete_on(client.get("/secret"), add)
        .await;
    assert_eq!(complete.dispatch().await.status(), Status::Ok);
    let complete = kit
        .request_as("ann")
        .complete_on(client.post("/secret"), add)
        .await;
    assert_eq!(complete.dispatch().await.status(), Status::Ok);
    let half = kit.request_as("bob").half_on(client.get("/secret"), add).await;
    assert_eq!(half.dispatch().await.status(), Status::Forbidden);
    assert_eq!(
        client.get("/secret").dispatch().await.status(),
        Status::Unauthorized
    );
}
