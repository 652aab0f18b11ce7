// A website on an origin of its own: one empty page, into which the suite puts the client.

import { createServer } from "node:http";

export class Site {
  #server;

  constructor(server) {
    this.#server = server;
    this.origin = `http://localhost:${server.address().port}`;
  }

  static async start() {
    const server = createServer((_request, response) => {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end("<!doctype html><title>A website</title>");
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Site(server);
  }

  async stop() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
