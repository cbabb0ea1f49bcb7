//! Users in a real browser: signing in by name and password, what an admin does on the page Settings, and a real OpenID provider.

use tidemark_model::view::{SessionView, UserView};
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::openid::{OpenId, SECRET};
use tidemark_tests::harness::{Controller, SOON, Up, on_own_network, until};

const PASSWORD: &str = "correct horse battery";

/// Fills fields of the page's form by their names, and sends it.
async fn send(browser: &Browser, form: &str, fields: &[(&str, &str)]) -> anyhow::Result<()> {
    let fill: String = fields
        .iter()
        .map(|(name, value)| format!("form.elements[{name:?}].value = {value:?}; "))
        .collect();
    let script = format!(
        "const form = document.querySelector({form:?}); {fill} form.querySelector('button').click()"
    );
    browser.run(&script).await.map(drop)
}

async fn shows(browser: &Browser, text: &str) -> anyhow::Result<String> {
    until(text, SOON, async || {
        // Between two pages there is none to ask.
        let page = browser.text("body").await.unwrap_or_default();
        Ok(page.contains(text).then_some(page))
    })
    .await
}

#[test]
fn an_admin_makes_a_user_who_signs_in_and_is_signed_out() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        browser.show_as(1280, 1000, "light").await?;
        let settings = format!("{}/settings", controller.ready.http);
        browser.open(&settings).await?;
        let fields = [("name", "ann"), ("password", PASSWORD)];
        send(&browser, "form[action='/settings/users']", &fields).await?;
        shows(&browser, "User ann can sign in as viewer").await?;
        browser.screenshot("settings-light").await?;
        for (width, scheme) in [(1280, "dark"), (390, "light"), (390, "dark")] {
            browser.show_as(width, 1000, scheme).await?;
            browser
                .screenshot(&format!("settings-{width}-{scheme}"))
                .await?;
            let wide = browser
                .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                .await?;
            assert_eq!(wide, 0, "nothing is cut off at {width} pixels");
        }
        browser.show_as(1280, 1000, "light").await?;

        browser
            .run("document.querySelector(\"form[action='/logout'] button\").click()")
            .await?;
        shows(&browser, "Sign in").await?;
        browser.screenshot("sign-in").await?;
        let wrong = [("name", "ann"), ("password", "wrong horse battery")];
        send(&browser, "form[action='/login']", &wrong).await?;
        shows(&browser, "do not let anybody in").await?;
        let right = [("name", "ann"), ("password", PASSWORD)];
        send(&browser, "form[action='/login']", &right).await?;
        shows(&browser, "signed in as ann").await?;
        browser.open(&settings).await?;
        let page = shows(&browser, "Your browsers").await?;
        assert!(
            !page.contains("API tokens") && !page.contains("Join tokens"),
            "{page}"
        );

        let sessions: Vec<SessionView> = controller
            .cli_json(&["session", "list", "--user", "ann"])
            .await?;
        assert_eq!(sessions.len(), 1);
        let ended = controller.cli(&["session", "end", &sessions[0].id]).await?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        browser.open(&settings).await?;
        shows(&browser, "Sign in").await?;
        // Whoever is not signed in is told so; nothing else is wrong.
        let complaints = browser.complaints().await?;
        let others: Vec<&String> = complaints
            .iter()
            .filter(|complaint| !complaint.contains("401 (Unauthorized)"))
            .collect();
        assert_eq!(others, Vec::<&String>::new());
        Ok(())
    })
}

#[test]
fn a_real_openid_provider_signs_people_in() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let secret = machine.folder().join("oidc-secret");
        std::fs::write(&secret, SECRET)?;
        let redirect = "http://127.0.0.1:7080/login/oidc/callback";
        let configured = format!(
            "[oidc]\nissuer = {issuer:?}\nclient_id = \"tidemark\"\nclient_secret_file = {secret:?}\n\
             redirect_url = {redirect:?}\nlabel = \"Example ID\"\n[oidc.roles]\nops = \"operator\"\n",
            issuer = OpenId::issuer(),
        );
        let _provider = OpenId::start(machine, redirect).await?;
        let controller = Controller::up(machine, &Up::configured(machine, &configured)?).await?;
        let browser = Browser::start(machine).await?;
        browser
            .open(&format!("{}/login", controller.ready.http))
            .await?;
        let page = shows(&browser, "Sign in with Example ID").await?;
        assert!(page.contains("Password"), "{page}");
        browser.screenshot("sign-in-provider").await?;
        by_provider(&browser, "ann").await?;
        shows(&browser, "signed in as ann").await?;
        let users: Vec<UserView> = controller.cli_json(&["user", "list"]).await?;
        assert_eq!(users.len(), 1);
        assert_eq!((&*users[0].name, &*users[0].role), ("ann", "operator"));
        assert_eq!(users[0].provider.as_deref(), Some(&*OpenId::issuer()));

        // At the provider too: somebody else is to sign in.
        browser
            .run("document.querySelector(\"form[action='/logout'] button\").click()")
            .await?;
        shows(&browser, "Sign in with Example ID").await?;
        browser.forget().await?;
        browser
            .open(&format!("{}/login", controller.ready.http))
            .await?;
        by_provider(&browser, "eve").await?;
        shows(&browser, "gives you no role here").await?;
        let users: Vec<UserView> = controller.cli_json(&["user", "list"]).await?;
        assert_eq!(users.len(), 1);
        Ok(())
    })
}

/// Signs in at the provider, from the sign-in page on.
async fn by_provider(browser: &Browser, name: &str) -> anyhow::Result<()> {
    browser
        .run("document.querySelector(\"a[href='/login/oidc']\").click()")
        .await?;
    until("the provider's page", SOON, async || {
        let is_there = browser
            .run("return !!document.querySelector('input[name=login]')")
            .await;
        Ok((is_there.ok() == Some(true.into())).then_some(()))
    })
    .await?;
    send(browser, "form", &[("login", name), ("password", "x")]).await?;
    until("the provider's question", SOON, async || {
        let is_there = browser
            .run("return document.querySelector('input[name=prompt]')?.value === 'consent'")
            .await;
        Ok((is_there.ok() == Some(true.into())).then_some(()))
    })
    .await?;
    send(browser, "form", &[]).await
}
