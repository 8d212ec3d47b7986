package torg;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** One node of Elasticsearch in this process, until a signal ends it: the first argument is the folder with its modules, the second its configuration. */
public final class Server {

    public static void main(String[] arguments) throws Exception {
        Settings home = Settings.builder().put("path.home", arguments[0]).build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(home, Map.of(), Path.of(arguments[1]), () -> "torg");
        LogConfigurator.setNodeName("torg");
        LogConfigurator.registerErrorListener();
        LogConfigurator.configure(environment, true);
        Node node = new Node(environment, modules(environment));
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, ended)));
        node.start();
        ended.await();
    }

    private static PluginsLoader modules(Environment environment) {
        return PluginsLoader.createPluginsLoader(PluginsLoader.loadModulesBundles(environment.modulesDir(), false), Set.of(), Map.of(), false);
    }

    private static void close(Node node, CountDownLatch ended) {
        try {
            node.prepareForClose();
            node.close();
        } catch (IOException error) {
            error.printStackTrace();
        } finally {
            ended.countDown();
        }
    }
}
