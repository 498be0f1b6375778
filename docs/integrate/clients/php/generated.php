<?php
// Searches by a photo with generated classes, over HTTP: PHP's gRPC extension is not needed.
// Usage: php generated.php URL PHOTO
declare(strict_types=1);

use Sightline\Gateway\V1\QuerySignal;
use Sightline\Gateway\V1\RecommendRequest;
use Sightline\Gateway\V1\RecommendResponse;

// Composer's vendor/autoload.php does the same.
spl_autoload_register(function (string $class): void {
    $file = str_replace('\\', '/', $class) . '.php';
    foreach (['generated', getenv('PROTOBUF_PHP') ?: '/usr/share/php'] as $folder) {
        if (is_file("$folder/$file")) {
            require "$folder/$file";
            return;
        }
    }
});

[, $url, $path] = $argv;
$request = new RecommendRequest(['page_size' => 3]);
$request->setSignals([new QuerySignal(['image' => file_get_contents($path)])]);
// The protocol of Connect: a message in, a message out, at the name of the call.
$curl = curl_init("$url/sightline.gateway.v1.RecommendationService/Recommend");
curl_setopt_array($curl, [
    CURLOPT_POSTFIELDS => $request->serializeToString(),
    CURLOPT_HTTPHEADER => ['content-type: application/proto', 'connect-timeout-ms: 20000'],
    CURLOPT_RETURNTRANSFER => true,
]);
$body = curl_exec($curl);
if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
    exit("refused: $body\n"); // an error is JSON
}
$answer = new RecommendResponse();
$answer->mergeFromString($body);
foreach ($answer->getResults() as $each) {
    echo "{$each->getRank()}. {$each->getProduct()->getProductId()} {$each->getProduct()->getTitle()}\n";
}
