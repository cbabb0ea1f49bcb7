//! A Postgres server for one test run: started by the first test that needs it, shared by all its processes, stopped
//! and removed when the run ends, however it ends.
//!
//! The run is nextest's process, or this process under any other runner. A supervisor, a shell outside the run's
//! process group, is the server's parent: it waits for the run to be gone, then stops the server and deletes its folder.
//! A kill -9 of the run or a Ctrl-C therefore leaves nothing behind. The server listens on a Unix socket alone, in a
//! folder that only its user may enter.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id as process_id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::time::Instant;

use super::done;
use crate::DatabaseUrl;
use crate::database_url::Place;

const USER: &str = "tidemark";
const FOLDER_PREFIX: &str = "tidemark-test-postgres-";
/// Starting takes a quarter of a second on an idle machine; builds beside it are not idle.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// $1 Postgres's programs, $2 the server's folder, $3 the run's process id. The server is quick, not durable: nobody
/// pulls its plug. Its log stays readable until the run ends, even if it dies before.
const SUPERVISE: &str = r#"
"$1/postgres" -D "$2/data" -c listen_addresses= -c unix_socket_directories="$2" -c max_connections=300 \
    -c shared_buffers=32MB -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
    </dev/null >"$2/postgres.log" 2>&1 &
server=$!
while kill -0 "$3" 2>/dev/null || [ -e "/proc/$3" ]; do sleep 0.1; done
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$2"
"#;

/// The address of a new, empty database on this test run's Postgres server. Databases of test processes that are gone
/// are dropped on the way.
///
/// # Panics
/// When Postgres's programs are not installed, or the server does not start.
pub async fn postgres_url() -> DatabaseUrl {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let folder = running_server();
    let server = PgConnectOptions::new_without_pgpass()
        .socket(&folder)
        .username(USER);
    let mut connection = connect(&server.clone().database("postgres"), &folder).await;
    drop_databases_of_the_dead(&mut connection).await;
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{number}", process_id());
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    done(
        "create a database",
        sqlx::query(create).execute(&mut connection).await,
    );
    done("leave the server", connection.close().await);
    DatabaseUrl(Place::Postgres(Box::new(server.database(&name))))
}

/// The folder of this run's server, which is started if it is not yet.
fn running_server() -> PathBuf {
    // nextest runs each test in a process of its own; what they share is their parent.
    let run = match std::env::var_os("NEXTEST") {
        Some(_) => parent_id(),
        None => process_id(),
    };
    // Asked for first: a run without Postgres leaves no folder behind.
    let programs = programs();
    let folder = std::env::temp_dir().join(format!("{FOLDER_PREFIX}{run}"));
    done("make the server's folder", fs::create_dir_all(&folder));
    let lock = done("lock", File::create(folder.join("start.lock")));
    done("lock", lock.lock());
    let started = folder.join("started");
    if !started.try_exists().unwrap_or(false) {
        remove_leftovers();
        start_server(&programs, &folder, run);
        done("note the start", File::create(started));
    }
    folder
}

#[expect(
    clippy::zombie_processes,
    reason = "the supervisor outlives this process on purpose"
)]
fn start_server(programs: &Path, folder: &Path, run: u32) {
    done(
        "close the server's folder",
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)),
    );
    let user = ServerUser::for_owner_of(folder);
    if let Some(user) = &user {
        done(
            "give the server's folder away",
            std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid)),
        );
    }
    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-U", USER, "--auth=trust", "--encoding=UTF8"])
        .args(["--no-locale", "--no-sync", "--no-instructions"]);
    let made = done("run initdb", as_user(&mut initdb, user.as_ref()).output());
    assert!(
        made.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut supervisor = Command::new("sh");
    supervisor
        .args(["-c", SUPERVISE, "tidemark-test-postgres"])
        .arg(programs)
        .arg(folder)
        .arg(run.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C is for the run; the supervisor then has its work to do.
        .process_group(0);
    done(
        "start the server",
        as_user(&mut supervisor, user.as_ref()).spawn(),
    );
}

fn as_user<'c>(command: &'c mut Command, user: Option<&ServerUser>) -> &'c mut Command {
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    command.current_dir("/")
}

/// Whom the server runs as when this process is root, which Postgres refuses to be.
struct ServerUser {
    uid: u32,
    gid: u32,
}

impl ServerUser {
    /// `None` when `folder`, made by this process, is not root's.
    fn for_owner_of(folder: &Path) -> Option<Self> {
        let owner = done("look at the server's folder", fs::metadata(folder));
        if owner.uid() != 0 {
            return None;
        }
        let users = done("read /etc/passwd", fs::read_to_string("/etc/passwd"));
        let found = Self::named("postgres", &users).or_else(|| Self::named("nobody", &users));
        Some(found.unwrap_or_else(|| {
            panic!("Postgres does not run as root, and there is no user postgres or nobody: useradd --system postgres")
        }))
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        Some(Self {
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }
}

/// The folder of `initdb` and `postgres`: in PATH, or where Debian and Red Hat put them.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders.push("/usr/pgsql/bin".into());
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    folders.into_iter().find(complete).unwrap_or_else(|| {
        panic!(
            "no initdb and postgres in PATH or /usr/lib/postgresql/*/bin: \
             install Postgres's server (Debian, Ubuntu: apt-get install postgresql)"
        )
    })
}

async fn connect(server: &PgConnectOptions, folder: &Path) -> PgConnection {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match server.connect().await {
            Ok(connection) => return connection,
            Err(error) if Instant::now() > deadline => {
                let log = fs::read_to_string(folder.join("postgres.log")).unwrap_or_default();
                panic!("the test run's Postgres does not answer: {error}\n{log}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Drops what finished test processes left, so that a run needs room for the databases in use only.
async fn drop_databases_of_the_dead(connection: &mut PgConnection) {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname LIKE 'test\\_%'")
            .fetch_all(&mut *connection)
            .await
            .unwrap_or_default();
    for name in names {
        let process = name.split('_').nth(1).and_then(|pid| pid.parse().ok());
        if process.is_some_and(|pid| !is_alive(pid)) {
            let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"));
            // Another process may be dropping the same one, or a child of the dead may still use it.
            sqlx::query(drop).execute(&mut *connection).await.ok();
        }
    }
}

/// Removes servers whose run and supervisor are both gone, as after a power cut.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let run = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDER_PREFIX))
            .and_then(|run| run.parse().ok());
        let server = fs::read_to_string(entry.path().join("data/postmaster.pid"))
            .ok()
            .and_then(|lines| lines.lines().next()?.parse().ok());
        if run.is_some_and(|run| !is_alive(run)) && !server.is_some_and(is_alive) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn is_alive(process: u32) -> bool {
    Path::new("/proc")
        .join(process.to_string())
        .try_exists()
        .unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_runs_as_postgres_where_there_is_one() {
        let users =
            "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:PostgreSQL,,,:/var/lib:/bin/sh\n";
        let user = ServerUser::named("postgres", users).unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(ServerUser::named("nobody", users).is_none());
    }

    #[tokio::test]
    async fn each_database_is_new_and_empty() {
        let (first, second) = (postgres_url().await, postgres_url().await);
        assert_ne!(first.to_string(), second.to_string());
        let Place::Postgres(options) = &second.0 else {
            panic!("not Postgres");
        };
        let mut connection = options.connect().await.unwrap();
        let tables: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(tables, 0);
    }
}
