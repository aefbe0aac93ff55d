//! Locks of what hooks fetch over HTTPS: by the proxy, whose certificates each program believes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{Authority, Ran, TestEnv, ran};

use crate::{member, ok};

/// Serves the working directory over TLS, with git repositories in it; its arguments are the
/// certificate and the key. Prints the port and then each path that is asked for.
const SERVER: &str = r#"
import http.server, os, ssl, subprocess, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass
    def do_GET(self):
        print(self.path, flush=True)
        self.git() if ".git/" in self.path else super().do_GET()
    def do_POST(self):
        print(self.path, flush=True)
        self.git()
    def git(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        env = dict(os.environ, GIT_PROJECT_ROOT=os.getcwd(), GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path,
                   QUERY_STRING=query, REQUEST_METHOD=self.command, CONTENT_LENGTH=str(len(body)),
                   CONTENT_TYPE=self.headers.get("Content-Type", ""),
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
                   GIT_PROTOCOL=self.headers.get("Git-Protocol", ""))
        said = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = said.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// The server, which ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(env: &TestEnv, authority: &Authority) -> Result<Self> {
        let (certificate, key) = authority.give(&["IP:127.0.0.1"])?;
        let child = Command::new("python3")
            .args(["-c", SERVER])
            .args([certificate, key])
            .current_dir(env.path("www"))
            .stdout(Stdio::piped())
            .spawn()?;
        // From here on it ends with this.
        let mut server = Self { child, address: String::new() };
        let mut lines = BufReader::new(server.child.stdout.take().context("a pipe")?);
        let mut port = String::new();
        lines.read_line(&mut port)?;
        server.address = format!("https://127.0.0.1:{}", port.trim());
        let log = env.path("asked");
        std::thread::spawn(move || -> Result<()> {
            std::io::copy(&mut lines, &mut fs_err::File::create(log)?)?;
            Ok(())
        });
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

#[test]
fn what_comes_over_https_is_locked_for_every_program() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let authority = Authority::new(&env.path("authority"))?;
    fs_err::create_dir(env.path("www"))?;
    for name in ["curl", "python", "apt"] {
        fs_err::write(env.path(&format!("www/{name}.txt")), format!("by {name}\n"))?;
    }
    let repository = "cd www && git init -q -b main work && cd work && echo 'by git' > tool && git add tool && \
        git -c user.name=t -c user.email=t@example.invalid commit -q -m x && git clone -q --bare . ../tool.git";
    crate::registry::tool(&env, "sh", &["-c", repository])?;
    let server = Server::start(&env, &authority)?;
    let at = &server.address;
    env.element(
        "mine/extra-data.d/10-sources",
        &format!(
            "#!/bin/bash\nset -eu\nto=$TMP_MOUNT_PATH/opt\ncurl -sSf -o $to/curl {at}/curl.txt\n\
             git clone -q {at}/tool.git /tmp/tool\ncp /tmp/tool/tool $to/git\n\
             python3 -c 'import sys, urllib.request as u; open(sys.argv[2], \"wb\").write(u.urlopen(sys.argv[1]).read())' \
             {at}/python.txt $to/python\n"
        ),
    )?;
    let apt =
        format!("#!/bin/sh\nexec /usr/lib/apt/apt-helper download-file {at}/apt.txt /opt/apt\n");
    env.element("mine/install.d/10-apt", &apt)?;
    // The builder believes the test's authority beside those that it knows.
    let mut all = fs_err::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    all.extend(fs_err::read(&authority.certificate)?);
    fs_err::write(env.path("all.pem"), all)?;
    let run = |words: &[&str]| -> Result<Ran> {
        let usual = ["-n", "-t", "tar", "--progress", "plain", "small", "mine"];
        let mut command = env.command("goldsmith")?;
        ran(command.args(words).args(usual).env("SSL_CERT_FILE", env.path("all.pem")))
    };
    // Who does not believe it is refused: nothing is taken from a stranger.
    let stranger = env.run(&["lock", "-n", "-t", "tar", "-o", "a", "small", "mine"])?;
    ensure!(stranger.status == 1 && !env.path("goldsmith.lock").exists(), "{stranger:#?}");
    ok(&run(&["lock", "-o", "a"])?)?;
    for name in ["curl", "git", "python", "apt"] {
        let text = member(&env.path("a.tar"), &format!("./opt/{name}"))?;
        ensure!(text == format!("by {name}\n"), "{name}: {text}");
    }
    let lock = fs_err::read_to_string(env.path("goldsmith.lock"))?;
    for name in ["curl.txt", "python.txt", "apt.txt", "tool.git"] {
        ensure!(lock.contains(&format!("url = \"{at}/{name}")), "{name}: {lock}");
    }
    // The server has gone: hooks run again, since a variable is another, and see the same.
    drop(server);
    let asked = fs_err::read_to_string(env.path("asked"))?;
    ensure!(asked.contains("git-upload-pack") && asked.contains("/apt.txt"), "{asked}");
    let again = run(&["build", "--locked", "--offline", "-o", "b", "--env", "DIB_AGAIN=yes"])?;
    ok(&again)?;
    ensure!(!again.stderr.contains("install: cached"), "{again:#?}");
    ensure!(fs_err::read(env.path("a.tar"))? == fs_err::read(env.path("b.tar"))?, "another");
    let leak =
        Command::new("grep").args(["-c", "/goldsmith/lock"]).arg(env.path("a.tar")).output()?;
    ensure!(leak.stdout == b"0\n", "the proxy is in the image");
    Ok(())
}
