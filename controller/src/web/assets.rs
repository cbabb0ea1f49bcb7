//! Style, scripts and pictures from inside the binary. Their addresses name the release, so browsers may keep them.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use tidemark_model::ErrorCode;

use crate::api::problem::ApiProblem;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// The type of a file by the end of its name; only these are served.
const TYPES: [(&str, &str); 3] = [
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".svg", "image/svg+xml"),
];

/// `GET /assets/{name}`.
pub async fn asset(Path(name): Path<String>) -> Response {
    let kind = TYPES.iter().find(|(end, _)| name.ends_with(end));
    match (Assets::get(&name), kind) {
        (Some(file), Some((_, kind))) => (
            [
                (header::CONTENT_TYPE, *kind),
                (header::CACHE_CONTROL, "private, no-cache"),
            ],
            file.data,
        )
            .into_response(),
        _ => ApiProblem::new(ErrorCode::NotFound, "there is no such file").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use sha2::{Digest as _, Sha256};

    use super::Assets;

    #[test]
    fn vendored_files_are_what_the_readme_says() {
        let readme = include_str!("../../assets/README.md");
        for name in ["uplot.js", "uplot.css"] {
            let file = Assets::get(name).unwrap();
            let digest = HEXLOWER.encode(&Sha256::digest(&file.data));
            assert!(
                readme.contains(&format!("{digest}  {name}")),
                "{name} is {digest}"
            );
        }
    }
}
