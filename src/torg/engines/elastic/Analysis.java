package torg;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.miscellaneous.ASCIIFoldingFilter;
import org.apache.lucene.analysis.pattern.PatternReplaceFilter;
import org.apache.lucene.analysis.pattern.PatternTokenizer;
import org.apache.lucene.analysis.snowball.SnowballFilter;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.analysis.AbstractTokenFilterFactory;
import org.elasticsearch.index.analysis.PreConfiguredTokenFilter;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * Stands in for Elasticsearch's module analysis-common, which Maven Central does not have: the few of its names that the shop's analysers use, over the same
 * classes of Lucene, with the same parameters.
 */
public final class Analysis extends Plugin implements AnalysisPlugin {

    private static final Map<String, String> STEMMERS = Map.of("porter2", "English", "russian", "Russian");

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("pattern", AnalysisPlugin.requiresAnalysisSettings((index, environment, name, settings) -> {
            Pattern pattern = pattern(settings);
            int group = settings.getAsInt("group", -1);
            return TokenizerFactory.newFactory(name, () -> new PatternTokenizer(pattern, group));
        }));
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of("stemmer", filter(Analysis::stemmer), "pattern_replace", filter(Analysis::patternReplace));
    }

    @Override
    public List<PreConfiguredTokenFilter> getPreConfiguredTokenFilters() {
        return List.of(PreConfiguredTokenFilter.singleton("asciifolding", true, ASCIIFoldingFilter::new));
    }

    private static UnaryOperator<TokenStream> stemmer(Settings settings) {
        String language = settings.get("language");
        String stemmer = STEMMERS.get(language);
        if (stemmer == null) {
            throw new IllegalArgumentException("there is no stemmer for " + language + ", only for " + STEMMERS.keySet());
        }
        return input -> new SnowballFilter(input, stemmer);
    }

    private static UnaryOperator<TokenStream> patternReplace(Settings settings) {
        Pattern pattern = pattern(settings);
        String replacement = settings.get("replacement", "");
        boolean all = settings.getAsBoolean("all", true);
        return input -> new PatternReplaceFilter(input, pattern, replacement, all);
    }

    private static Pattern pattern(Settings settings) {
        return Pattern.compile(settings.get("pattern"));
    }

    private static AnalysisProvider<TokenFilterFactory> filter(Function<Settings, UnaryOperator<TokenStream>> made) {
        return AnalysisPlugin.requiresAnalysisSettings((index, environment, name, settings) -> {
            UnaryOperator<TokenStream> filter = made.apply(settings);
            return new AbstractTokenFilterFactory(name) {
                @Override
                public TokenStream create(TokenStream input) {
                    return filter.apply(input);
                }
            };
        });
    }
}
