// GhostDriver, the driver that PhantomJS carries, behind a wall: it answers only requests whose path
// begins with the secret in the environment (where no other user of the machine can read it), and
// only the commands that a fetch needs. GhostDriver's own also read files and start programs.

var system = require('system');
var prefix = '/' + system.env.GHOSTDRIVER_SECRET;
var COMMANDS = /^\/session(\/[\w-]+(\/(execute|log|source|timeouts|url))?)?$/;
var create = require('webserver').create;

function answering(handle) {
    return function (request, response) {
        var path = request.url.substr(prefix.length);
        if (request.url.indexOf(prefix) === 0 && COMMANDS.test(path)) {
            request.url = path;
            handle(request, response);
        } else {
            response.statusCode = 404;
            response.closeGracefully();
        }
    };
}

function createServer() {
    var server = create(), listen = server.listen;
    server.listen = function (address, settings, handle) {
        // Kept connections would let strangers take up all of its few threads.
        var listens = listen.call(server, address, {keepAlive: false}, answering(handle));
        if (listens) {
            system.stdout.writeLine('listening');
            system.stdout.flush();
        }
        return listens;
    };
    return server;
}

if (system.env.GHOSTDRIVER_SECRET) {
    require.stub('webserver', {create: createServer});
    require.paths.push(':/ghostdriver');
    phantom.libraryPath = ':/ghostdriver';
    phantom.injectJs('main.js');
} else {
    phantom.exit(2);
}
