// GET a URL by Node's http, whose sockets are libuv's; prints the body.
require("http").get(process.argv[2], (answer) => answer.pipe(process.stdout));
