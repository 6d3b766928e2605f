import java.util.concurrent.CompletionStage;
import org.apache.pekko.NotUsed;
import org.apache.pekko.actor.ActorSystem;
import org.apache.pekko.stream.javadsl.Flow;
import org.apache.pekko.stream.javadsl.Keep;
import org.apache.pekko.stream.javadsl.Sink;
import org.apache.pekko.stream.javadsl.Source;
import org.apache.pekko.stream.javadsl.Tcp;
import org.apache.pekko.util.ByteString;

/** Serves the lines "pekko START" to "pekko END - 1" on a port to each client, then waits. */
public final class Server {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        int start = Integer.parseInt(arguments[1]);
        int end = Integer.parseInt(arguments[2]);
        ActorSystem system = ActorSystem.create("server");
        Source<ByteString, NotUsed> lines =
            Source.range(start, end - 1)
                .grouped(1000)
                .map(numbers -> {
                    StringBuilder text = new StringBuilder();
                    numbers.forEach(number -> text.append("pekko ").append(number).append('\n'));
                    return ByteString.fromString(text.toString());
                })
                .concat(Source.maybe());
        Flow<ByteString, ByteString, NotUsed> flow =
            Flow.fromSinkAndSource(Sink.ignore(), lines);
        Tcp.get(system).bind("127.0.0.1", port)
            .toMat(Sink.foreach(connection -> connection.handleWith(flow, system)), Keep.left())
            .run(system)
            .thenAccept(bound -> {
                System.out.println("port " + bound.localAddress().getPort());
                System.out.flush();
            });
    }
}
