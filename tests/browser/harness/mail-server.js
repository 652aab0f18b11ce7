// A mail server that nobody here wrote, npm's smtp-server, with mailparser to read what it gets. For tests in Rust.
//
// It takes one argument, JSON: `key` and `cert` (PEM), `secure` (TLS from the start), `starttls`, and `login` ({user, pass}, or
// nothing). It prints one line of JSON with its port, then one for each recipient it was asked for and each mail it took, and ends with
// its standard input. What it does depends on the recipient:
//
//   unknown@  refused for good (550)      grey@  refused once (451), then taken
//   drop@     the connection ends         mute@  the mail is read, and the connection ends without an answer

import { argv, stdin, stdout } from "node:process";

import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";

const { key, cert, secure, starttls, login } = JSON.parse(argv[2]);
const tell = (told) => stdout.write(`${JSON.stringify(told)}\n`);
const refusal = (code, text) => Object.assign(new Error(text), { responseCode: code });
const met = new Set();

const server = new SMTPServer({
  key,
  cert,
  secure,
  hideSTARTTLS: !starttls,
  disabledCommands: [...(starttls ? [] : ["STARTTLS"]), ...(login ? [] : ["AUTH"])],
  authOptional: !login,
  // Without TLS no password is asked for.
  allowInsecureAuth: false,
  onAuth({ username, password }, _session, done) {
    const welcome = username === login.user && password === login.pass;
    done(welcome ? null : refusal(535, `no password for ${username}`), { user: username });
  },
  onRcptTo({ address }, session, done) {
    tell({ asked: address });
    const [name] = address.split("@");
    if (name === "unknown") return done(refusal(550, `<${address}>: no such user`));
    if (name === "drop") return hangUp(session);
    if (name === "grey" && !met.has(address)) {
      met.add(address);
      return done(refusal(451, `<${address}>: greylisted, come back`));
    }
    done();
  },
  async onData(stream, session, done) {
    const mail = await simpleParser(stream);
    const to = session.envelope.rcptTo.map(({ address }) => address);
    if (to[0].startsWith("mute@")) return hangUp(session);
    tell({
      mail: {
        from: session.envelope.mailFrom.address,
        to,
        user: session.user ?? null,
        tls: session.secure,
        connection: session.id,
        headers: mail.headerLines.map(({ key, line }) => [key, line.slice(line.indexOf(":") + 2)]),
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
      },
    });
    done();
  },
});

/** Ends the connection of a session without a word. */
function hangUp(session) {
  for (const connection of server.connections) {
    if (connection.session.id === session.id) connection._socket.destroy();
  }
}

server.on("error", () => {});
server.listen(0, () => tell({ port: server.server.address().port }));
stdin.on("end", () => process.exit(0)).resume();
