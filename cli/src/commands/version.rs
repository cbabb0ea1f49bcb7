//! `version`: of this program, and of the controller when it answers.

use serde::Serialize;

use super::Ctx;
use super::show::show_once;
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::text::visible;
use crate::render::{Report, Screen};

/// Prints the versions. That no controller answers is no failure: the question was which program this is.
pub async fn version(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let controller = match ctx.api() {
        Ok(api) => api.status().await.ok().map(|status| status.version),
        Err(_) => None,
    };
    show_once(
        ctx,
        &Versions {
            tidemark: env!("CARGO_PKG_VERSION"),
            controller,
        },
    )
}

#[derive(Debug, Serialize)]
struct Versions {
    tidemark: &'static str,
    controller: Option<String>,
}

impl Report for Versions {
    fn table(&self, _screen: &Screen) -> String {
        let controller = self
            .controller
            .as_deref()
            .map_or_else(|| "does not answer".to_owned(), visible);
        format!("tidemark    {}\ncontroller  {controller}\n", self.tidemark)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["tidemark", "controller"],
            rows: vec![vec![
                Value::text(self.tidemark),
                Value::maybe_text(self.controller.as_deref()),
            ]],
        }
    }
}
